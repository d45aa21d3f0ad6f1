"""Arms of the ablation: their rates, their paired differences from the method they are changed from, their gains."""

from collections.abc import Sequence
from typing import NamedTuple

from harc.core.artifacts import BASE
from harc.results.claim_metrics import measure_coupling_gain
from harc.results.evidence import Evidence, ResultsView
from harc.results.geometry import SIDES
from harc.results.rates import Difference, Rate, estimate_difference, estimate_rate
from harc.stats.statistics import holm

METRICS = ("mean_asr", "mean_over_refusal", "mean_helpfulness")


class Arm(NamedTuple):
    """What one arm did on one backbone; None where a suite or the directions are missing.

    `differences` are paired, arm minus reference; `holm` holds their p values, adjusted over the arms of one metric
    and backbone; `gains` are the change of the cosine in the slots selected on the base, by side.
    """

    backbone: str
    name: str
    seeds: int
    rates: dict[str, Rate | None]
    differences: dict[str, Difference | None]
    holm: dict[str, float | None]
    gains: dict[str, Evidence | None]


def _measure_arm(view: ResultsView, backbone: str, name: str, reference: str) -> Arm:
    own, other = view.outcomes(backbone, name), view.outcomes(backbone, reference)
    return Arm(
        backbone,
        name,
        len(own),
        {metric: estimate_rate(own, metric, view.confidence) for metric in METRICS},
        {
            metric: None if name == reference else estimate_difference(other, own, metric, view.confidence)
            for metric in METRICS
        },
        {},
        {
            side: None if name == BASE else measure_coupling_gain(view, backbone, name, side, "band")
            for side in SIDES
        },
    )


def measure_arms(view: ResultsView, backbone: str, names: Sequence[str], reference: str) -> list[Arm]:
    """Every arm on a backbone, in the order given.

    Args:
        view: the results, on the seeds that arms were run on.
        backbone: name.
        names: arms, and whatever stands beside them (base, the reference itself).
        reference: the method that arms are changed from.
    """
    arms = [_measure_arm(view, backbone, name, reference) for name in names]
    adjusted: list[dict[str, float | None]] = [dict.fromkeys(METRICS) for _ in arms]
    for metric in METRICS:
        tested = [i for i, arm in enumerate(arms) if arm.name != BASE and arm.differences[metric] is not None]
        values = holm([arms[i].differences[metric].p for i in tested])
        for index, value in zip(tested, values, strict=True):
            adjusted[index][metric] = value
    return [arm._replace(holm=values) for arm, values in zip(arms, adjusted, strict=True)]
