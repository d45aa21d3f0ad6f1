"""Every tuning point: what it changes, and its development figures as means over backbones and seeds."""

from pathlib import Path

from harc.analysis.latex import escape_latex, format_rate, format_signed, make_breakable
from harc.analysis.tables.layout import Table, title_row
from harc.analysis.tuning_points import TuningPoint, read_points
from harc.analysis.vocabulary import name_method, sort_methods
from harc.artifacts import BASE

COLUMNS = ("method", "point", "changes", "chosen", "asr", "over_refusal", "benign", "wrapped_benign", "runs")
RATES = COLUMNS[4:8]


def average_points(points: list[TuningPoint]) -> list[dict]:
    """One row per method and point: means over backbones and seeds, base first."""
    rows = []
    for method in sort_methods(list(dict.fromkeys(point.method for point in points))):
        own = [point for point in points if point.method == method]
        for number in sorted({point.number for point in own}):
            same = [point for point in own if point.number == number]
            means = {name: sum(getattr(point, name).rate for point in same) / len(same) for name in RATES}
            first = same[0]
            rows.append(
                {
                    "method": method,
                    "point": number,
                    "changes": first.label,
                    "chosen": first.chosen,
                    **means,
                    "runs": len(same),
                }
            )
    return rows


def build_table(points_file: Path | None) -> Table:
    """The table; without tuning points it says so."""
    rows = average_points(read_points(points_file))
    base = next((row for row in rows if row["method"] == BASE), None)
    body: list[str] = []
    for method in dict.fromkeys(row["method"] for row in rows):
        body += ["\\addlinespace"] if body else []
        body.append(title_row(name_method(method), len(RATES) + 1))
        for row in (row for row in rows if row["method"] == method):
            mark = "$\\bullet$ " if row["chosen"] else ""
            text = make_breakable(escape_latex(row["changes"])) or "as it is"
            over = row["over_refusal"] - base["over_refusal"] if base else None
            cells = [
                format_rate(row["asr"]),
                format_signed(over),
                format_rate(row["benign"]),
                format_rate(row["wrapped_benign"]),
            ]
            body.append(f"{mark}{{\\ttfamily\\footnotesize {text}}} & " + " & ".join(cells) + " \\\\")
    notes = ["$\\bullet$ chosen: the lowest attack success that keeps the allowances. Development prompts."]
    if not rows:
        notes = ["This profile takes its settings as they are: no tuning points are named."]
    ragged = ">{\\raggedright\\arraybackslash}"
    return Table(
        "tuning",
        COLUMNS,
        rows,
        f"@{{}}{ragged}p{{0.5\\textwidth}}cccc@{{}}",
        ["changes & attack success & over-refusal, to base & benign & wrapped benign"],
        body,
        notes,
        long=True,
    )
