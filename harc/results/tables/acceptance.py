"""Did each backbone become what the study needs: every declared criterion with its value, for every seed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from harc.results.latex import MISSING, escape_latex, format_rate
from harc.results.tables.layout import Table
from harc.results.vocabulary import name_backbone
from harc.core.artifacts import Layout
from harc.core.files import read_json

COLUMNS = ("backbone", "seed", "criterion", "value", "least", "greatest", "holds", "split")


def _list_criteria(report: dict) -> Iterator[dict]:
    """Rows of an acceptance report, whose `bounds` map a criterion to its value, limits and outcome."""
    for name, entry in report.get("bounds", {}).items():
        bounds = {key: entry.get(key) for key in ("value", "least", "greatest", "holds")}
        yield {"criterion": name, "split": report.get("split")} | bounds


def read_criteria(results_root: Path, backbone: str, seed: int) -> list[dict]:
    """Criteria of one backbone with their values; none for a model without an acceptance report."""
    path = Layout(results_root).backbone(backbone, seed) / "acceptance.json"
    if not path.is_file():
        return []
    return [{"backbone": backbone, "seed": seed} | row for row in _list_criteria(read_json(path))]


def _describe_bounds(row: dict) -> str:
    if row["greatest"] is None or row["greatest"] >= 1:
        return f"$\\geq$ {format_rate(row['least'])}"
    return f"{format_rate(row['least'])} to {format_rate(row['greatest'])}"


def _cell(row: dict | None) -> str:
    if row is None or row.get("value") is None:
        return MISSING
    shown = format_rate(row["value"])
    return shown if row.get("holds") else f"\\textbf{{{shown}}}$^\\ddagger$"


def build_table(results_root: Path, backbones: Sequence[str], seeds: Sequence[int]) -> Table:
    """The table; a backbone of another kind (a published model) has no criteria and is named in the notes."""
    rows = [row for b in backbones for s in seeds for row in read_criteria(results_root, b, s)]
    by_key = {(row["backbone"], row["seed"], row["criterion"]): row for row in rows}
    shown = [b for b in backbones if any(row["backbone"] == b for row in rows)]
    absent = [b for b in backbones if b not in shown]
    body = []
    for criterion in dict.fromkeys(row["criterion"] for row in rows):
        found = next(row for row in rows if row["criterion"] == criterion)
        cells = [" / ".join(_cell(by_key.get((b, s, criterion))) for s in seeds) for b in shown]
        label = escape_latex(criterion.replace("_", " "))
        body.append(" & ".join([label, _describe_bounds(found), *cells]) + " \\\\")
    if not body:
        body.append("\\multicolumn{2}{@{}l@{}}{no backbone of this profile has acceptance criteria} \\\\")
    heads = [escape_latex(name_backbone(b)) for b in shown]
    splits = " and ".join(sorted({str(row["split"]) for row in rows})) or MISSING
    notes = [
        f"Shares, measured on the {escape_latex(splits)} split, in which no evaluation prompt occurs; "
        f"seeds in order: {', '.join(map(str, seeds))}.",
        "$^\\ddagger$ criterion not met; the backbone is used all the same.",
    ]
    if absent:
        notes.append(f"No criteria for: {escape_latex(', '.join(name_backbone(b) for b in absent))}.")
    header = [" & ".join(["criterion", "bound", *heads])]
    return Table("acceptance", COLUMNS, rows, "@{}ll" + "l" * len(shown) + "@{}", header, body, notes)
