"""Every tuning point: what it changes, and its development figures as means over backbones and seeds."""

from pathlib import Path

from harc.results.latex import (escape_latex, format_rate, format_signed, make_breakable)
from harc.results.tables.layout import Table, title_row
from harc.results.tuning_points import TuningPoint, read_points, read_tuned
from harc.results.vocabulary import name_method, sort_methods
from harc.core.artifacts import BASE
from harc.settings.tuning import TuningSettings
from harc.evaluation.tuning import judge_points

COLUMNS = (
    "method",
    "point",
    "changes",
    "chosen",
    "eligible",
    "asr",
    "over_refusal",
    "benign",
    "wrapped_benign",
    "runs",
)
RATES = COLUMNS[5:9]


def average_points(points: list[TuningPoint], criterion: TuningSettings) -> list[dict]:
    """One row per method and point: means over backbones and seeds, base first; `eligible` as the criterion has it."""
    rows = []
    base = [_flatten(point) for point in points if point.method == BASE]
    for method in sort_methods(list(dict.fromkeys(point.method for point in points))):
        own = [point for point in points if point.method == method]
        judged = judge_points(method, [_flatten(point) for point in own], base, criterion)
        for choice in judged:
            same = [point for point in own if point.number == choice.point]
            means = {name: sum(getattr(point, name).rate for point in same) / len(same) for name in RATES}
            rows.append(
                {
                    "method": method,
                    "point": choice.point,
                    "changes": same[0].label,
                    "chosen": same[0].chosen,
                    "eligible": choice.eligible,
                    **means,
                    "runs": len(same),
                }
            )
    return rows


def _flatten(point: TuningPoint) -> dict:
    """A point as the criterion takes it."""
    rates = {name: getattr(point, name).rate for name in RATES}
    return {"backbone": point.backbone, "seed": point.seed, "point": point.number, **rates}


def build_table(points_file: Path | None) -> Table:
    """The table; without tuning points it says so."""
    points = read_points(points_file)
    rows = average_points(points, TuningSettings(**read_tuned(points_file)["tuning"])) if points else []
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
        f"@{{}}{ragged}p{{0.43\\textwidth}}cccc@{{}}",
        ["changes & attack success & over-refusal, to base & benign & wrapped benign"],
        body,
        notes,
        long=True,
    )
