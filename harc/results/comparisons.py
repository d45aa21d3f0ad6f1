"""Which methods and arms are compared, on what, and the words that an interval earns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harc.core.artifacts import BASE
from harc.results.claim_metrics import measure_coupling_gain
from harc.results.claims import LEVEL, evaluate_claims
from harc.results.evidence import Evidence, ResultsView
from harc.results.geometry import SIDES
from harc.results.ledger import Claim
from harc.results.rates import Difference, Rate
from harc.results.vocabulary import OVER_REFUSAL, POOLED, sort_methods
from harc.settings.methods import list_looks
from harc.stats.significance import holm

# HARC itself is compared with these, its variants are not.
BASELINES = tuple(name for name, look in list_looks().items() if look.is_baseline)
REFERENCES = ("base", "sft", "no_coupling", *BASELINES, "harc")


class Comparison(NamedTuple):
    """One paired comparison (method minus reference).

    `holm` is p adjusted within its metric and backbone or, where `question` names one, within the ledger's claims on
    that question.
    """

    backbone: str
    method: str
    reference: str
    metric: str
    difference: Difference | None
    holm: float | None
    question: str = ""


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
    """Holm-adjusted p values of the differences that there are; None for those of one seed, which test nothing."""
    return holm([difference.p if difference and difference.seeds > 1 else None for difference in differences])


Declared = Mapping[tuple[str, str, str, str], tuple[str, float | None]]
"""Question and adjusted p by backbone, method, reference and metric, where a claim is about that difference."""


def find_declared(claims: Sequence[Claim], view: ResultsView) -> Declared:
    """What the ledger says of differences: whoever shows one of them shows the p value that decided the claim."""
    chosen = [c for c in claims if c.test.metric == "paired_difference" and c.test.correction == "holm"]
    tested = {claim.id: claim for claim in chosen}
    found = {}
    for finding in evaluate_claims(chosen, view):
        claim = tested[finding.claim]
        if not claim.test.threshold:
            names = ("method", "reference", "suite")
            method, reference, suite = (str(claim.test.arguments[name]) for name in names)
            found[finding.backbone, method, reference, suite] = (claim.question, finding.p_adjusted)
    return found


def _compare(
    view: ResultsView, backbone: str, methods: Sequence[str], declared: Declared
) -> list[Comparison]:
    """Every pair on every metric; p values of what is not declared are adjusted over such pairs of one metric."""
    pairs = list_pairs(methods)
    comparisons = []
    for metric in ("mean_asr", *view.attacks, *OVER_REFUSAL, "mean_helpfulness", "benign", "wrapped_benign"):
        places = [(backbone, *pair, metric) for pair in pairs]
        found = [view.compare(*place) for place in places]
        free = [None if place in declared else own for place, own in zip(places, found, strict=True)]
        for place, difference, adjusted in zip(places, found, adjust_differences(free), strict=True):
            question, p = declared.get(place, ("", adjusted))
            comparisons.append(Comparison(*place, difference, p, question))
    return comparisons


def compare_methods(
    view: ResultsView, methods: Sequence[str], claims: Sequence[Claim] = ()
) -> list[Comparison]:
    """Every comparison of methods; with several backbones and seeds, the last ones pool over both.

    What one draw is where they are pooled says `view.draw`.
    """
    declared = find_declared(claims, view)
    together = [POOLED] if len(view.backbones) > 1 and len(view.seeds) > 1 else []
    return [
        comparison
        for backbone in (*view.backbones, *together)
        for comparison in _compare(view, backbone, methods, declared)
    ]


def describe_change(estimate: float | None, p_adjusted: float | None, seeds: int) -> str:
    """`lower` or `higher` where the adjusted p value says so, else what kept it from saying so."""
    if estimate is None:
        return "not compared"
    if seeds < 2:
        return "not testable with one training seed"
    if p_adjusted is None or p_adjusted >= LEVEL:
        return "not detectably different"
    return "lower" if estimate < 0 else "higher"


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
    return Arm(
        backbone,
        name,
        len(view.outcomes(backbone, name)),
        {metric: view.estimate_rate(backbone, name, metric) for metric in ARM_METRICS},
        {
            metric: None if name == reference else view.compare(backbone, name, reference, metric)
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
