"""The declared rule: the lowest attack success that keeps over-refusal and benign answers near the base's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harc.settings.tuning import TuningSettings

ROUNDING = 1e-9  # what differences of rates may lose in floating point
BASE_POINT = -1  # number of the base's own row among the points
Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Choice:
    """The chosen point of a method.

    Attributes:
        method: name.
        point: its number in the grid.
        asr: mean attack success over backbones and seeds.
        over_refusal: mean over-refusal minus the base's.
        benign_loss: loss of right answers against the base, the worse of plain and wrapped benign requests.
        eligible: whether it keeps the allowances; if no point does, the one that breaks them least is chosen.
    """

    method: str
    point: int
    asr: float
    over_refusal: float
    benign_loss: float
    eligible: bool


def _mean(rows: Rows, column: str) -> float:
    return sum(float(row[column]) for row in rows) / len(rows)


def judge_points(method: str, rows: Rows, base: Rows, settings: TuningSettings) -> list[Choice]:
    """Every point of a method as a candidate, in grid order: means over backbones and seeds."""
    judged = []
    for point in sorted({int(row["point"]) for row in rows}):
        own = [row for row in rows if int(row["point"]) == point]
        keys = {(row["backbone"], row["seed"]) for row in own}
        matched = [row for row in base if (row["backbone"], row["seed"]) in keys]
        refusal = _mean(own, "over_refusal") - _mean(matched, "over_refusal")
        loss = max(_mean(matched, name) - _mean(own, name) for name in ("benign", "wrapped_benign"))
        eligible = (
            refusal <= settings.over_refusal_allowance + ROUNDING
            and loss <= settings.benign_allowance + ROUNDING
        )
        judged.append(Choice(method, point, _mean(own, "asr"), refusal, loss, eligible))
    return judged


def choose_point(method: str, rows: Rows, base: Rows, settings: TuningSettings) -> Choice:
    """The point that the criterion picks; ties go to the lower over-refusal, then to the earlier point."""
    judged = judge_points(method, rows, base, settings)
    eligible = [choice for choice in judged if choice.eligible]
    if eligible:
        return min(eligible, key=lambda choice: (choice.asr, choice.over_refusal, choice.point))

    def excess(choice: Choice) -> float:
        over = max(0.0, choice.over_refusal - settings.over_refusal_allowance)
        return over + max(0.0, choice.benign_loss - settings.benign_allowance)

    return min(judged, key=lambda choice: (excess(choice), choice.asr, choice.point))
