"""Contamination: what held-out prompts share with earlier splits here, and the published evaluations with training."""

from pathlib import Path

from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate)
from harc.results.tables.layout import (Table, read_number, read_table, title_row)
from harc.core.artifacts import Layout

COLUMNS = (
    "of", "training_set", "used_by", "evaluation_set", "n", "exact", "near", "near_allowed", "highest_similarity",
    "share", "low", "high",
)  # fmt: skip
OURS, PUBLISHED = "this run", "published methods"
RELEASE = "release_overlap.csv"


def summarise_run(path: Path) -> list[dict]:
    """One row per held-out split and earlier split, over all suites."""
    rows = read_table(path)
    table = []
    for split, reference in dict.fromkeys((row["split"], row["reference"]) for row in rows):
        own = [row for row in rows if (row["split"], row["reference"]) == (split, reference)]
        near = [(int(row["near"]), row["allowed"] == "True") for row in own]
        table.append(
            {
                "of": OURS, "training_set": reference, "evaluation_set": split,
                "n": sum(int(row["n"]) for row in own), "exact": sum(int(row["exact"]) for row in own),
                "near": sum(count for count, _ in near),
                "near_allowed": sum(count for count, allowed in near if allowed),
                "highest_similarity": max(float(row["highest_similarity"] or 0) for row in own),
            }
        )  # fmt: skip
    return table


def read_release(path: Path) -> list[dict]:
    """The committed overlap of published training sets and evaluations."""
    texts = ("training_set", "used_by", "evaluation_set")
    numbers = ("n", "exact", "near", "share", "low", "high")
    return [
        {"of": PUBLISHED, **{name: row[name] for name in texts}}
        | {name: read_number(row, name) if name not in numbers[:3] else int(row[name]) for name in numbers}
        for row in read_table(path)
    ]


def _line(row: dict) -> str:
    share = (
        f"{format_rate(row['share'], 3)} {{\\scriptsize {format_interval(row['low'], row['high'], 3)}}}"
        if row.get("share") is not None
        else f"closest {format_rate(row['highest_similarity'])}" if row["near"] else "--"
    )  # fmt: skip
    near = str(row["near"]) + (f" ({row['near_allowed']} allowed)" if row.get("near_allowed") else "")
    names = [escape_latex(row[name].replace("_", " ")) for name in ("training_set", "evaluation_set")]
    return " & ".join([*names, str(row["n"]), str(row["exact"]), near, share]) + " \\\\"


def _list_release(rows: list[dict]) -> list[str]:
    """Every pair that overlaps, then one line per training set for those that do not."""
    lines = []
    for name in dict.fromkeys(row["training_set"] for row in rows):
        own = [row for row in rows if row["training_set"] == name]
        touched = [row for row in own if row["exact"] + row["near"]]
        lines += [_line(row) for row in touched]
        if clean := [row for row in own if row not in touched]:
            label = escape_latex(name)
            count = "all" if not touched else "the other"
            lines.append(
                f"{label} & {count} {len(clean)} sets & {sum(r['n'] for r in clean)} & 0 & 0 & -- \\\\"
            )
    return lines


def build_table(results_root: Path, calibration: Path) -> Table:
    """The table; a run without the guard's file says so.

    Args:
        results_root: root of the results tree.
        calibration: folder of the committed figures.
    """
    ours = summarise_run(Layout(results_root).contamination)
    release = read_release(calibration / RELEASE)
    missing = f"\\multicolumn{{6}}{{@{{}}l}}{{{MISSING}: not at hand}} \\\\"
    body = [
        title_row("This run: earlier split, held-out split", 6),
        *([_line(row) for row in ours] or [missing]),
        "\\addlinespace",
        title_row("Published methods: what they learn from, what they are measured on", 6),
        *(_list_release(release) or [missing]),
    ]
    uses = "; ".join(dict.fromkeys(f"{row['training_set']}: {row['used_by']}" for row in release))
    notes = [
        "Exact: word for word. Near: by similarity of word triples, exact ones not counted again. "
        "Allowed: in suites that share sentence patterns with training on purpose; any other overlap stops the run.",
        f"Used by: {escape_latex(uses)}." if uses else "",
    ]
    header = ["learnt from & asked & prompts & exact & near & share"]
    ragged = ">{\\raggedright\\arraybackslash}"
    align = f"@{{}}{ragged}p{{0.3\\textwidth}}{ragged}p{{0.23\\textwidth}}rrll@{{}}"
    return Table(
        "contamination", COLUMNS, ours + release, align, header, body, [note for note in notes if note]
    )
