"""Which methods and arms are compared, on what, and the words that an interval earns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harc.core.artifacts import BASE
from harc.results.claim_metrics import measure_coupling_gain
from harc.results.evidence import Evidence, ResultsView
from harc.results.geometry import SIDES
from harc.results.rates import BySeed, Difference, Rate, estimate_difference, estimate_rate
from harc.results.vocabulary import ATTACKS, OVER_REFUSAL, POOLED, sort_methods
from harc.settings.methods import list_looks
from harc.stats.significance import holm

# HARC itself is compared with these, its variants are not.
BASELINES = tuple(name for name, look in list_looks().items() if look.is_baseline)
REFERENCES = ("base", "sft", "no_coupling", *BASELINES, "harc")
METRICS = ("mean_asr", *ATTACKS, *OVER_REFUSAL, "mean_helpfulness", "benign", "wrapped_benign")


class Comparison(NamedTuple):
    """One paired comparison (method minus reference); `holm` is p adjusted within its metric and backbone."""

    backbone: str
    method: str
    reference: str
    metric: str
    difference: Difference | None
    holm: float | None


def list_pairs(methods: Sequence[str]) -> list[tuple[str, str]]:
    """(method, reference): all against base; HARC and its variants also against SFT, no coupling and HARC; HARC
    against the other baselines.
    """
    present = sort_methods(list(methods))
    pairs = []
    for reference in REFERENCES:
        if reference not in present:
            continue
        for method in present:
            wanted = reference == "base"
            wanted = wanted or (reference in ("sft", "no_coupling") and method.startswith("harc"))
            wanted = wanted or (reference in BASELINES and method == "harc")
            wanted = wanted or (reference == "harc" and method.startswith("harc_"))
            if wanted and method != reference:
                pairs.append((method, reference))
    return pairs


def adjust_differences(differences: Sequence[Difference | None]) -> list[float | None]:
    """Holm-adjusted p values of the differences that there are."""
    return holm([difference and difference.p for difference in differences])


def _compare(
    backbone: str, outcomes: Mapping[str, BySeed], methods: Sequence[str], confidence: float
) -> list[Comparison]:
    """Every pair on every metric; p values are adjusted over the pairs of one metric."""
    pairs = list_pairs(methods)
    comparisons = []
    for metric in METRICS:
        found = [estimate_difference(outcomes[ref], outcomes[own], metric, confidence) for own, ref in pairs]
        comparisons += [
            Comparison(backbone, *pair, metric, difference, adjusted)
            for pair, difference, adjusted in zip(pairs, found, adjust_differences(found), strict=True)
        ]
    return comparisons


def compare_methods(view: ResultsView, methods: Sequence[str]) -> list[Comparison]:
    """Every declared comparison; p values are Holm-adjusted over the pairs of one metric on one backbone.

    With several backbones and seeds, the last comparisons pool over both: each pair of backbone and seed is one
    draw, so that the interval speaks of a new training run on either backbone.
    """
    comparisons: list[Comparison] = []
    pooled: dict[str, dict] = {method: {} for method in methods}
    for backbone in view.backbones:
        outcomes = {method: view.outcomes(backbone, method, paired=True) for method in methods}
        for method in methods:
            pooled[method] |= {(backbone, seed): rows for seed, rows in outcomes[method].items()}
        comparisons += _compare(backbone, outcomes, methods, view.confidence)
    if len(view.backbones) > 1 and len(view.seeds) > 1:
        comparisons += _compare(POOLED, pooled, methods, view.confidence)
    return comparisons


def describe_change(low: float | None, high: float | None) -> str:
    """`lower`, `higher` or `not detectably different`, from the interval; `not compared` without one."""
    if low is None or high is None:
        return "not compared"
    if high < 0:
        return "lower"
    if low > 0:
        return "higher"
    return "not detectably different"


ARM_METRICS = ("mean_asr", "mean_over_refusal", "mean_helpfulness")


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
    paired = view.outcomes(backbone, name, paired=True)
    return Arm(
        backbone,
        name,
        len(own),
        {metric: estimate_rate(own, metric, view.confidence) for metric in ARM_METRICS},
        {
            metric: None if name == reference else estimate_difference(other, paired, metric, view.confidence)
            for metric in ARM_METRICS
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
    for metric in ARM_METRICS:
        tested = [None if arm.name == BASE else arm.differences[metric] for arm in arms]
        for arm, value in zip(arms, adjust_differences(tested), strict=True):
            arm.holm[metric] = value
    return arms
