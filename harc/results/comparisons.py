"""Which pairs of methods are compared, on what, and the words that an interval earns."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

from harc.results.outcomes import Outcome, read_by_seed
from harc.results.rates import Difference, estimate_difference
from harc.results.vocabulary import ATTACKS, OVER_REFUSAL, POOLED, sort_methods
from harc.settings.methods import list_looks
from harc.stats.statistics import holm

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


Answers = dict[Hashable, list[Outcome]]


def _compare(
    backbone: str, outcomes: dict[str, Answers], methods: Sequence[str], confidence: float
) -> list[Comparison]:
    """Every pair on every metric; p values are adjusted over the pairs of one metric."""
    comparisons = []
    for metric in METRICS:
        found = [
            (
                method,
                reference,
                estimate_difference(outcomes[reference], outcomes[method], metric, confidence),
            )
            for method, reference in list_pairs(methods)
        ]
        tested = [index for index, (_, _, difference) in enumerate(found) if difference]
        adjusted = dict(zip(tested, holm([found[index][2].p for index in tested]), strict=True))
        comparisons += [
            Comparison(backbone, method, reference, metric, difference, adjusted.get(index))
            for index, (method, reference, difference) in enumerate(found)
        ]
    return comparisons


def compare_methods(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    confidence: float = 0.95,
) -> list[Comparison]:
    """Every declared comparison; p values are Holm-adjusted over the pairs of one metric on one backbone.

    With several backbones and seeds, the last comparisons pool over both: each pair of backbone and seed is one
    draw, so that the interval speaks of a new training run on either backbone.
    """
    comparisons: list[Comparison] = []
    pooled: dict[str, Answers] = {method: {} for method in methods}
    for backbone in backbones:
        outcomes: dict[str, Answers] = {}
        for method in methods:
            outcomes[method] = dict(read_by_seed(results_root, backbone, method, seeds))
            pooled[method] |= {(backbone, seed): rows for seed, rows in outcomes[method].items()}
        comparisons += _compare(backbone, outcomes, methods, confidence)
    if len(backbones) > 1 and len(seeds) > 1:
        comparisons += _compare(POOLED, pooled, methods, confidence)
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
