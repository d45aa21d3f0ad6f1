"""Training: where the loss terms start and end, and every tuning point that settings were chosen from."""

import math
from collections.abc import Callable, Sequence

from harc.core.artifacts import BASE
from harc.evaluation.tuning import judge_points
from harc.results.latex import MISSING, UNDEFINED, escape_latex, format_rate, format_signed, make_breakable
from harc.results.printer import BY_BACKBONE, Column, Record, Table, make_frame, set_paragraphs, show_name
from harc.results.readings import TERMS, TuningPoint, read_logs, read_points, read_term, read_tuned
from harc.results.view import Results
from harc.results.vocabulary import name_method, note_attacks, sort_methods
from harc.settings.training import TuningSettings

WINDOW = 0.1  # share of the logged rows averaged at each end, at least one row
COLUMNS = ("backbone", "method", "seeds", *(f"{term}_{end}" for term in TERMS for end in ("first", "last")))
RATES = ("asr", "over_refusal", "benign", "wrapped_benign")
POINTS = ("method", "point", "changes", "chosen", "eligible", *RATES, "runs")


def measure_ends(logs: Sequence[Sequence[dict]], term: str) -> tuple[float, float] | None:
    """Mean of a term over the first and over the last tenth of the log, over seeds; None if it is not logged."""
    ends = []
    for rows in logs:
        _, values = read_term(rows, term)
        if values:
            width = max(1, round(WINDOW * len(values)))
            ends.append((sum(values[:width]) / width, sum(values[-width:]) / width))
    if not ends:
        return None
    return sum(first for first, _ in ends) / len(ends), sum(last for _, last in ends) / len(ends)


def _format_loss(value: float) -> str:
    """Three decimals, or a power of ten where these would show nothing but zeros."""
    if math.isnan(value):
        return UNDEFINED
    if value == 0 or abs(value) >= 0.0005:
        return f"{value:.3f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"${mantissa}\\times 10^{{{int(exponent)}}}$"


def _show_ends(term: str) -> Callable[[Record], str]:
    def show(row: Record) -> str:
        ends = row[f"{term}_first"], row[f"{term}_last"]
        return MISSING if None in ends else " $\\to$ ".join(map(_format_loss, ends))

    return show


def _set_head(label: str) -> str:
    broken = label.replace(", ", r" \\ ").replace(" on ", r" \\ on ")
    return f"\\shortstack[l]{{{broken}}}"


def build_training(view: Results) -> Table:
    """Loss terms; a term that a method logs without training on it is a control, and n/a is no log."""
    rows = []
    for backbone in view.backbones:
        for method in view.every_method[1:]:
            logs = read_logs(view.root, backbone, method, view.seeds)
            row: dict = {"backbone": backbone, "method": method, "seeds": len(logs)}
            for term in TERMS:
                if ends := measure_ends(list(logs.values()), term):
                    row |= {f"{term}_first": ends[0], f"{term}_last": ends[1]}
            rows.append(row)
    note = (
        "Means over the first and the last tenth of the logged steps (and over seeds), before weighting. "
        f"{MISSING}: the method does not compute the term."
    )
    return Table(
        "training",
        make_frame(COLUMNS, rows),
        [
            Column("", show_name("method", name_method)),
            *(Column(_set_head(label), _show_ends(term)) for term, label in TERMS.items()),
        ],
        **BY_BACKBONE,
        notes=[note],
    )


def _flatten(point: TuningPoint) -> dict:
    """A point as the criterion takes it."""
    rates = {name: getattr(point, name).rate for name in RATES}
    return {"backbone": point.backbone, "seed": point.seed, "point": point.number, **rates}


def average_points(points: list[TuningPoint], criterion: TuningSettings) -> list[dict]:
    """One row per method and point: means over backbones and seeds, base first; `eligible` as the criterion has it."""
    rows = []
    base = [_flatten(point) for point in points if point.method == BASE]
    for method in sort_methods(list(dict.fromkeys(point.method for point in points))):
        own = [point for point in points if point.method == method]
        for choice in judge_points(method, [_flatten(point) for point in own], base, criterion):
            same = [point for point in own if point.number == choice.point]
            means = {name: sum(getattr(point, name).rate for point in same) / len(same) for name in RATES}
            first = {"method": method, "point": choice.point, "changes": same[0].label}
            rows.append(
                {**first, "chosen": same[0].chosen, "eligible": choice.eligible, **means, "runs": len(same)}
            )
    return rows


def _show_changes(row: Record) -> str:
    mark = "$\\bullet$ " if row["chosen"] else ""
    return f"{mark}{{\\ttfamily\\footnotesize {make_breakable(escape_latex(row['changes'])) or 'as it is'}}}"


def build_tuning(view: Results) -> Table:
    """Every tuning point with its development figures; without any it says so."""
    file = view.settings.tuning_points
    points = read_points(file)
    rows = average_points(points, TuningSettings(**read_tuned(file)["tuning"])) if file and points else []
    base = next((row["over_refusal"] for row in rows if row["method"] == BASE), None)
    notes = ["$\\bullet$ chosen: the lowest attack success that keeps the allowances. Development prompts."]
    notes += note_attacks(view.mean_attacks, "attack success")
    if not rows:
        notes = ["This profile takes its settings as they are: no tuning points are named."]

    def show_over(row: Record) -> str:
        return format_signed(row["over_refusal"] - base if base is not None else None)

    return Table(
        "tuning",
        make_frame(POINTS, rows),
        [
            Column("changes", _show_changes, set_paragraphs(0.43)[0]),
            Column("attack success", lambda row: format_rate(row["asr"]), "c"),
            Column("over-refusal, to base", show_over, "c"),
            Column("benign", lambda row: format_rate(row["benign"]), "c"),
            Column("wrapped benign", lambda row: format_rate(row["wrapped_benign"]), "c"),
        ],
        sections=("method",),
        title=lambda section: name_method(section[0]["method"]),
        notes=notes,
        long=True,
    )
