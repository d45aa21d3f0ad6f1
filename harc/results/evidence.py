"""What claims are tested on: the results of a profile, read once each, and an estimate with its standard error."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict

from harc.core.artifacts import BASE
from harc.results.geometry import DRAWN, Geometry, Plane, read_geometries, read_planes, resample_depth
from harc.results.outcomes import read_by_seed
from harc.results.rates import Difference, Draw, Rate, estimate_difference, estimate_rate
from harc.results.suppression import read_suppressions
from harc.results.vocabulary import ATTACKS, POOLED
from harc.stats.agreement import RankAgreement, correlate_ranks, estimate_rank_agreement
from harc.stats.intervals import Interval, Pooled, pool_seeds
from harc.suites.registry import list_members

T = TypeVar("T")
Limits = tuple[float, float]
UNLIMITED = (-math.inf, math.inf)
Reader = Callable[[Path, str, str, Sequence[int]], dict[int, pd.DataFrame]]


class Evidence(BaseModel):
    """An estimate with its standard error, the degrees of freedom, what was counted and over how many seeds.

    A standard error of 0 means that the profile gives no measure of chance, so no test is made. `p_flip` is the exact
    sign-flip test over runs beside the interval; `never`: what was counted occurs nowhere, or everywhere, in both;
    `limits`: between what the quantity can lie, and so the bounds of its interval.
    """

    model_config = ConfigDict(frozen=True)
    estimate: float
    standard_error: float
    degrees: float = math.inf
    n: int
    unit: str
    seeds: int
    p_flip: float | None = None
    never: bool = False
    limits: Limits = UNLIMITED

    def as_pooled(self) -> Pooled:
        """What interval and tests are made from."""
        return Pooled(self.estimate, self.standard_error, self.degrees)

    def interval(self, confidence: float) -> Interval:
        """Student's interval, within the limits."""
        return self.as_pooled().interval(confidence).clip(*self.limits)


@dataclass
class ResultsView:
    """The results that claims are tested on, read once each.

    Attributes:
        root: of the results tree.
        backbones, seeds: of the main comparison.
        confidence: coverage of intervals.
        families, family_seeds: models whose direction structure is compared, the backbones among them.
        fixed: backbones that are the same at every seed, and the one seed under which their base was measured.
        draw: what one draw is where backbones are pooled (see `harc.settings.analysis`).
        mean_attacks: attacks over which their mean is taken.
        attacks: those that are shown one by one.
    """

    root: Path
    backbones: Sequence[str]
    seeds: Sequence[int]
    confidence: float = 0.95
    families: Sequence[str] = ()
    family_seeds: Sequence[int] = ()
    fixed: Mapping[str, int] = field(default_factory=dict)
    draw: Draw = "seed"
    mean_attacks: Sequence[str] = ATTACKS
    attacks: Sequence[str] = ATTACKS
    _read: dict = field(default_factory=dict)

    def _remember(self, reader: Callable[..., dict], backbone: str, method: str) -> dict:
        key = (reader, backbone, method)
        if key not in self._read:
            seeds = [self.fixed[backbone]] if method == BASE and backbone in self.fixed else self.seeds
            self._read[key] = reader(self.root, backbone, method, seeds)
        return self._read[key]

    def _pair(self, backbone: str, method: str, found: dict[Any, T]) -> dict[Any, T]:
        """What was measured of a model, beside every seed: a fixed backbone's base is one measurement for all."""
        if method != BASE or backbone not in self.fixed:
            return found
        return {seed: once for once in found.values() for seed in self.seeds}

    def _take(self, reader: Reader, backbone: str, method: str, paired: bool) -> dict[Any, pd.DataFrame]:
        """What a reader reads of a method, by seed; pooled: by backbone and seed."""
        if backbone == POOLED:
            each = {name: self._take(reader, name, method, paired) for name in self.backbones}
            return {(name, seed): found for name, held in each.items() for seed, found in held.items()}
        found = self._remember(reader, backbone, method)
        return self._pair(backbone, method, found) if paired else found

    def outcomes(self, backbone: str, method: str, *, paired: bool = False) -> dict[Any, pd.DataFrame]:
        """Outcomes by seed; of `POOLED`, all backbones, by backbone and seed.

        `paired`: to be compared seed by seed with another method's (see `_pair`).
        """
        return self._take(read_by_seed, backbone, method, paired)

    def suppressions(self, backbone: str, method: str, *, paired: bool = False) -> dict[Any, pd.DataFrame]:
        """Answers under suppression, likewise."""
        return self._take(read_suppressions, backbone, method, paired)

    def list_suites(self, metric: str) -> tuple[str, ...]:
        """Suites behind a metric: those of a mean, or the one that the metric is named after."""
        return list_members(metric, self.mean_attacks)

    def estimate_rate(self, backbone: str, method: str, metric: str) -> Rate | None:
        """The rate of a suite or a mean of suites over all seeds; None where a suite of it was not run."""
        return estimate_rate(self.outcomes(backbone, method), self.list_suites(metric), self.confidence)

    def compare(self, backbone: str, method: str, reference: str, metric: str) -> Difference | None:
        """The paired difference, method minus reference, on a suite or a mean of suites."""
        key = (backbone, method, reference, metric)
        if key not in self._read:
            first, second = (self.outcomes(backbone, name, paired=True) for name in (reference, method))
            self._read[key] = estimate_difference(
                first, second, self.list_suites(metric), self.confidence, self.draw
            )
        return self._read[key]

    def geometries(self, backbone: str, method: str, *, paired: bool = False) -> dict[int, Geometry]:
        """Direction geometry by seed; `paired`: likewise."""
        found = self._remember(read_geometries, backbone, method)
        return self._pair(backbone, method, found) if paired else found

    def planes(self, backbone: str, method: str) -> dict[int, Plane]:
        """Planes by seed; none of methods whose projections a committed study leaves out."""
        return self._remember(read_planes, backbone, method) if method in DRAWN else {}

    def split_seeds(self) -> "list[ResultsView]":
        """One view per seed."""
        return [self.narrow(self.backbones, [seed]) for seed in self.seeds]

    def narrow(self, backbones: Sequence[str], seeds: Sequence[int]) -> "ResultsView":
        """The results of other backbones and seeds."""
        return ResultsView(
            self.root,
            backbones,
            seeds,
            self.confidence,
            fixed=self.fixed,
            draw=self.draw,
            mean_attacks=self.mean_attacks,
            attacks=self.attacks,
        )


def pool_evidence(
    estimates: Sequence[float], errors: Sequence[float], n: int, unit: str, limits: Limits = UNLIMITED
) -> Evidence | None:
    """Mean over seeds, the seed as a random effect; an error that is NaN counts as none."""
    if not estimates or any(math.isnan(value) for value in estimates):
        return None
    pooled = pool_seeds(estimates, [0.0 if math.isnan(error) else error**2 for error in errors])
    return Evidence(**pooled._asdict(), n=n, unit=unit, seeds=len(estimates), limits=limits)


def read_family_profiles(view: ResultsView) -> dict[str, Float[np.ndarray, " _"]]:
    """Prompt-side profile of every family's untreated model, mean over the families' seeds; none for absent ones."""
    profiles = {}
    for model in view.families:
        found = view.geometries(model, BASE)
        chosen = [found[seed].profiles["prompt"].cosine for seed in view.family_seeds if seed in found]
        if chosen:
            profiles[model] = np.mean(chosen, axis=0)
    return profiles


def estimate_agreement(profiles: Mapping[str, Float[np.ndarray, " _"]]) -> RankAgreement | None:
    """Mean rank correlation of families' profiles by relative depth; None for fewer than three families."""
    return estimate_rank_agreement([resample_depth(profile) for profile in profiles.values()])


def list_seed_correlations(view: ResultsView) -> list[float]:
    """Rank correlation of every two seeds of one backbone: what seeds alone leave of agreement."""
    found = []
    for backbone in view.backbones:
        geometries = view.geometries(backbone, BASE).values()
        profiles = [resample_depth(geometry.profiles["prompt"].cosine) for geometry in geometries]
        if len(profiles) > 1:
            found += correlate_ranks(profiles)[np.triu_indices(len(profiles), 1)].tolist()
    return found
