"""Contamination: what held-out prompts share with earlier splits here, and the published evaluations with training."""

from collections.abc import Sequence
from pathlib import Path

from harc.results.latex import MISSING, escape_latex, format_interval, format_rate
from harc.results.printer import (
    RAGGED,
    Column,
    Record,
    Table,
    make_frame,
    plain_words,
    read_number,
    read_table,
    set_small,
    show_name,
    split_records,
)
from harc.results.view import Results

COLUMNS = (
    "of", "training_set", "used_by", "evaluation_set", "n", "exact", "near", "near_allowed", "highest_similarity",
    "share", "low", "high",
)  # fmt: skip
OURS, PUBLISHED = "this run", "published methods"
TITLES = {
    OURS: "This run: earlier split, held-out split",
    PUBLISHED: "Published methods: what they learn from, what they are measured on",
}
RELEASE = "release_overlap.csv"


def summarise_run(path: Path) -> list[dict]:
    """One row per held-out split and earlier split, over all suites."""
    table = []
    for own in split_records(read_table(path), ("split", "reference")):
        near = [(int(row["near"]), row["allowed"] == "True") for row in own]
        table.append(
            {
                "of": OURS,
                "training_set": own[0]["reference"],
                "evaluation_set": own[0]["split"],
                "n": sum(int(row["n"]) for row in own),
                "exact": sum(int(row["exact"]) for row in own),
                "near": sum(count for count, _ in near),
                "near_allowed": sum(count for count, allowed in near if allowed),
                "highest_similarity": max(float(row["highest_similarity"] or 0) for row in own),
            }
        )
    return table


def read_release(path: Path) -> list[dict]:
    """The committed overlap of published training sets and evaluations."""
    counts, rates = ("n", "exact", "near"), ("share", "low", "high")
    return [
        {"of": PUBLISHED, **{name: row[name] for name in ("training_set", "used_by", "evaluation_set")}}
        | {name: int(row[name]) for name in counts}
        | {name: read_number(row, name) for name in rates}
        for row in read_table(path)
    ]


def _join_clean(rows: Sequence[Record]) -> list[Record]:
    """Every pair that overlaps, then one record per training set for those that do not."""
    shown: list[Record] = []
    for own in split_records(rows, ("training_set",)):
        touched = [row for row in own if row["exact"] + row["near"]]
        clean = [row for row in own if not row["exact"] + row["near"]]
        shown += touched
        if clean:
            asked = f"{'the other' if touched else 'all'} {len(clean)} sets"
            total = {"n": sum(row["n"] for row in clean), "exact": 0, "near": 0}
            shown.append({**clean[0], "evaluation_set": asked, **total, "share": None})
    return shown


def _show_near(row: Record) -> str:
    return str(row["near"]) + (f" ({row['near_allowed']} allowed)" if row.get("near_allowed") else "")


def _show_share(row: Record) -> str:
    if row.get("share") is not None:
        return f"{format_rate(row['share'], 3)} {set_small(format_interval(row['low'], row['high'], 3))}"
    return f"closest {format_rate(row['highest_similarity'])}" if row["near"] else "--"


def build_contamination(view: Results) -> Table:
    """The table; a run without the guard's file says so."""
    ours = summarise_run(view.layout.contamination)
    release = read_release(view.calibration / RELEASE)
    uses = "; ".join(dict.fromkeys(f"{row['training_set']}: {row['used_by']}" for row in release))
    notes = [
        "Exact: word for word. Near: by similarity of word triples, exact ones not counted again. "
        "Allowed: in suites that share sentence patterns with training on purpose; any other overlap stops the run."
    ]
    return Table(
        "contamination",
        make_frame(COLUMNS, ours + release),
        [
            Column("learnt from", show_name("training_set", plain_words), f"{RAGGED}p{{0.3\\textwidth}}"),
            Column("asked", show_name("evaluation_set", plain_words), f"{RAGGED}p{{0.23\\textwidth}}"),
            Column("prompts", lambda row: str(row["n"]), "r"),
            Column("exact", lambda row: str(row["exact"]), "r"),
            Column("near", _show_near),
            Column("share", _show_share),
        ],
        sections=("of",),
        title=lambda section: TITLES[section[0]["of"]],
        notes=[*notes, f"Used by: {escape_latex(uses)}."] if uses else notes,
        lacking=f"\\multicolumn{{6}}{{@{{}}l}}{{{MISSING}: not at hand}}",
        printed=[*(ours or [{"of": OURS}]), *(_join_clean(release) or [{"of": PUBLISHED}])],
    )
