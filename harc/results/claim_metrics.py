"""Quantities that a claim may be tested on: an estimate with a standard error, or None if absent."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harc.core.artifacts import BASE
from harc.results.evidence import (
    UNLIMITED,
    Evidence,
    Limits,
    ResultsView,
    estimate_agreement,
    pool_evidence,
    read_family_profiles,
)
from harc.results.geometry import Plane, Profile
from harc.results.outcomes import read_finetuning
from harc.results.rates import Difference, estimate_difference
from harc.results.suppression import compare_suppressed
from harc.results.vocabulary import ATTACKS, POOLED
from harc.stats.areas import estimate_area
from harc.stats.intervals import find_standard_error

PER_CLASS = "prompts per class"
SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)  # limits of shares and areas, and of their differences


class Metric(NamedTuple):
    """How a quantity is measured, and the names of its arguments.

    Attributes:
        of_families: whether it is of all families together.
        of_outcomes: whether it is measured over several backbones too, from their outcomes.
    """

    measure: Callable[..., Evidence | None]
    arguments: tuple[str, ...]
    of_families: bool = False
    of_outcomes: bool = False


def measure_paired_difference(
    view: ResultsView, backbone: str, suite: str, method: str, reference: str
) -> Evidence | None:
    """Rate of `method` minus rate of `reference` on the same prompts."""
    return _as_evidence(view.compare(backbone, method, reference, suite))


def _as_evidence(difference: Difference | None) -> Evidence | None:
    if difference is None:
        return None
    return Evidence(
        estimate=difference.estimate,
        standard_error=difference.standard_error,
        degrees=difference.degrees,
        n=difference.n,
        unit="prompts",
        seeds=difference.seeds,
        p_flip=difference.p_flip,
        never=difference.never,
        limits=DIFFERENCE,
    )


def measure_finetuned_difference(
    view: ResultsView,
    backbone: str,
    suite: str,
    method: str,
    examples: int,
    reference: str,
    reference_examples: int,
) -> Evidence | None:
    """The paired difference, each of the two after fine-tuning on so many harmful answers (0: as it is)."""
    backbones = view.backbones if backbone == POOLED else [backbone]
    first, second = (
        {
            (own, seed): answers[count]
            for own in backbones
            for seed in view.seeds
            if count in (answers := read_finetuning(view.root, own, name, seed))
        }
        for name, count in ((reference, reference_examples), (method, examples))
    )
    return _as_evidence(
        estimate_difference(first, second, view.list_suites(suite), view.confidence, view.draw)
    )


def measure_suppressed_difference(
    view: ResultsView, backbone: str, condition: str, method: str, reference: str
) -> Evidence | None:
    """Refusal kept under a condition of suppression: `method` minus `reference`, on the same prompts."""
    first, second = (view.suppressions(backbone, name, paired=True) for name in (reference, method))
    return _as_evidence(compare_suppressed(first, second, condition, view.confidence, view.draw))


Found = Iterator[tuple[float, float, int]]
"""Per seed: an estimate, its standard error, and the count behind it."""


def _pool(found: Found, unit: str, limits: Limits = UNLIMITED) -> Evidence | None:
    """Mean over seeds; the count is the last seed's."""
    columns = list(zip(*found, strict=True))
    return pool_evidence(*columns[:2], columns[2][-1], unit, limits) if columns else None


def _mean_over(profile: Profile, slots: Sequence[int]) -> tuple[float, float]:
    """Mean cosine over slots and the mean of their errors, which do not average out: slots share prompts."""
    errors = find_standard_error(profile.low, profile.high)
    return float(np.mean(profile.cosine[slots])), float(np.mean(errors[slots]))


def measure_base_cosine(view: ResultsView, backbone: str, side: str) -> Evidence | None:
    """Mean absolute cosine of the base directions over the eligible slots."""

    def measure() -> Found:
        for geometry in view.geometries(backbone, BASE).values():
            slots = range(geometry.eligible[0], geometry.eligible[1] + 1)
            profile = geometry.profiles[side]
            estimate, error = _mean_over(profile._replace(cosine=np.abs(profile.cosine)), slots)
            yield estimate, error, geometry.examples or 0

    return _pool(measure(), PER_CLASS)


def measure_band_cosine(view: ResultsView, backbone: str, pair: str, method: str) -> Evidence | None:
    """Mean cosine of two directions (see `harc.settings.directions.COSINES`) over the slots selected on the base.

    That of the response's content with the refusal, which has no sign of its own, is absolute.
    """
    base, own = (view.geometries(backbone, name, paired=method != BASE) for name in (BASE, method))

    def measure() -> Found:
        for seed in base.keys() & own.keys():
            profile, slots = own[seed].profiles[pair], list(base[seed].selected)
            if pair == "content":
                profile = profile._replace(cosine=np.abs(profile.cosine))
            if slots:
                yield *_mean_over(profile, slots), own[seed].examples or 0

    return _pool(measure(), PER_CLASS)


def measure_late_drop(view: ResultsView, backbone: str) -> Evidence | None:
    """Prompt-side base cosine of the middle third of the slots minus that of the last third."""

    def measure() -> Found:
        for geometry in view.geometries(backbone, BASE).values():
            profile = geometry.profiles["prompt"]
            count, third = len(profile.cosine), len(profile.cosine) // 3
            middle = _mean_over(profile, range(third, 2 * third))
            late = _mean_over(profile, range(count - third, count))
            yield middle[0] - late[0], math.hypot(middle[1], late[1]), geometry.examples or 0

    return _pool(measure(), PER_CLASS)


def measure_coupling_gain(
    view: ResultsView, backbone: str, method: str, side: str, where: str
) -> Evidence | None:
    """Cosine after the method minus before, over the trained slots (`band`) or those below (`upstream`)."""
    before, after = (view.geometries(backbone, name, paired=True) for name in (BASE, method))

    def measure() -> Found:
        for seed in before.keys() & after.keys():
            base = before[seed]
            slots = base.selected if where == "band" else range(base.eligible[0], min(base.selected))
            if slots:
                first, second = (_mean_over(g[seed].profiles[side], list(slots)) for g in (before, after))
                yield second[0] - first[0], math.hypot(first[1], second[1]), base.examples or 0

    return _pool(measure(), PER_CLASS)


def measure_layer_overlap(view: ResultsView, backbone: str, method: str) -> Evidence | None:
    """Jaccard overlap of the slots that the layer score selects before and after the method."""
    before, after = (view.geometries(backbone, name, paired=True) for name in (BASE, method))
    both = before.keys() & after.keys()

    def measure() -> Found:
        for seed in both:
            first, second = set(before[seed].selected), set(after[seed].selected)
            yield len(first & second) / len(first | second), math.nan, len(both)

    return _pool(measure(), "choices", SHARE)


def _lowest_band_slot(view: ResultsView, backbone: str, seed: int, plane: Plane, side: str) -> int:
    base = view.geometries(backbone, BASE, paired=True).get(seed)
    slots = plane.coordinates(side, "harm").shape[1]
    return min(base.selected) if base and base.selected else slots // 2


def measure_separability(
    view: ResultsView, backbone: str, method: str, side: str, axis: str
) -> Evidence | None:
    """Area under the curve of attack prompts against wrapped benign ones, at the lowest selected slot.

    Response side: only answers that gave the procedure count as attacks, only right answers as benign.
    """
    labels = ("correct",) if side == "response" else None

    def measure() -> Found:
        for seed, plane in view.planes(backbone, method).items():
            values = plane.coordinates(side, axis)[:, _lowest_band_slot(view, backbone, seed, plane, side)]
            classes = [values[plane.select(suites, labels)] for suites in (ATTACKS, ("wrapped_benign",))]
            if area := estimate_area(*classes, view.confidence):
                error = find_standard_error(area.low, area.high, view.confidence)
                yield area.estimate, error, area.positives + area.negatives

    return _pool(measure(), "prompts", SHARE)


def measure_projection_shift(
    view: ResultsView, backbone: str, method: str, side: str, axis: str
) -> Evidence | None:
    """Mean coordinate of answered attacks minus that of direct harmful prompts, lowest selected slot."""

    def measure() -> Found:
        for seed, plane in view.planes(backbone, method).items():
            values = plane.coordinates(side, axis)[:, _lowest_band_slot(view, backbone, seed, plane, side)]
            classes = values[plane.select(ATTACKS, ("correct",))], values[plane.select(("direct",))]
            attacks, direct = (chosen[~np.isnan(chosen)] for chosen in classes)
            if min(len(attacks), len(direct)) >= 2:
                error = math.sqrt(attacks.var(ddof=1) / len(attacks) + direct.var(ddof=1) / len(direct))
                yield float(attacks.mean() - direct.mean()), error, len(attacks) + len(direct)

    return _pool(measure(), "prompts")


def measure_family_agreement(view: ResultsView, backbone: str, families: int) -> Evidence | None:
    """Mean rank correlation of the layer profiles over all pairs of families; None for too few of them.

    `backbone` stands for all of them together: the quantity has no value for one alone.
    """
    profiles = read_family_profiles(view)
    agreement = estimate_agreement(profiles) if len(profiles) >= families else None
    if agreement is None or math.isnan(agreement.estimate):
        return None
    return Evidence(
        estimate=agreement.estimate,
        standard_error=agreement.standard_error,
        degrees=agreement.degrees,
        n=len(profiles),
        unit="families",
        seeds=len(view.family_seeds),
    )


def measure_difference_at_scale(
    view: ResultsView, backbone: str, suite: str, method: str, reference: str, billions: float
) -> Evidence | None:
    """The paired difference, on backbones whose name states so many billion parameters (`...-70B-...`)."""
    sizes = [part[:-1] for part in backbone.replace("_", "-").split("-") if part[-1:] in "bB" and part[:-1]]
    known = [float(size) for size in sizes if size.replace(".", "", 1).isdigit()]
    if not known or max(known) < billions:
        return None
    return measure_paired_difference(view, backbone, suite, method, reference)


METRICS = {
    "paired_difference": Metric(
        measure_paired_difference, ("suite", "method", "reference"), of_outcomes=True
    ),
    "paired_difference_at_scale": Metric(
        measure_difference_at_scale, ("suite", "method", "reference", "billions")
    ),
    "finetuned_difference": Metric(
        measure_finetuned_difference,
        ("suite", "method", "examples", "reference", "reference_examples"),
        of_outcomes=True,
    ),
    "suppressed_refusal_difference": Metric(
        measure_suppressed_difference, ("condition", "method", "reference"), of_outcomes=True
    ),
    "base_cosine": Metric(measure_base_cosine, ("side",)),
    "band_cosine": Metric(measure_band_cosine, ("pair", "method")),
    "base_late_drop": Metric(measure_late_drop, ()),
    "coupling_gain": Metric(measure_coupling_gain, ("method", "side", "where")),
    "layer_overlap": Metric(measure_layer_overlap, ("method",)),
    "separability": Metric(measure_separability, ("method", "side", "axis")),
    "projection_shift": Metric(measure_projection_shift, ("method", "side", "axis")),
    "family_agreement": Metric(measure_family_agreement, ("families",), of_families=True),
}
