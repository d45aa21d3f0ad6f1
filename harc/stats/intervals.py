"""Intervals of one number: Wilson's for a rate, Student's over training seeds, percentiles of a bootstrap."""

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from harc.stats.significance import one_sided_p


class Interval(NamedTuple):
    """An estimate with the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float

    def clip(self, low: float, high: float) -> "Interval":
        """The same with its bounds kept within what the number can be."""
        return Interval(self.estimate, max(low, self.low), min(high, self.high))


class Pooled(NamedTuple):
    """A mean with its standard error and the degrees of freedom of its t statistic; infinite: a normal one."""

    estimate: float
    standard_error: float
    degrees: float

    def interval(self, confidence: float = 0.95) -> Interval:
        """Student's interval."""
        half = float(stats.t.ppf(0.5 + confidence / 2, self.degrees)) * self.standard_error
        return Interval(self.estimate, self.estimate - half, self.estimate + half)

    def test(self, threshold: float = 0.0) -> float:
        """Two-sided p value of the distance from a threshold."""
        return 2 * one_sided_p(abs(self.estimate - threshold) / self.standard_error, self.degrees)

    def test_equivalence(self, margin: float) -> float:
        """P value of lying within a margin around 0: the larger of two one-sided ones (Schuirmann, J. Pharmacokinet.
        Biopharm. 15:657, 1987).
        """
        return one_sided_p((margin - abs(self.estimate)) / self.standard_error, self.degrees)


@cache
def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a rate (Wilson, JASA 22:209, 1927).

    Raises:
        ValueError: unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} is no rate")
    bounds = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(bounds.low), float(bounds.high))


def pool_seeds(estimates: Sequence[float], variances: Sequence[float]) -> Pooled:
    """Mean over training seeds, with the seed as a random effect.

    The squared standard error is the larger of the between-seed variance and the mean sampling variance, over
    k, so that seeds which agree by luck do not give an interval narrower than their prompts allow. It has k - 1
    degrees of freedom for k > 1 seeds; one seed has the normal interval of its prompts, which says nothing about
    other seeds.

    Args:
        estimates: one rate or difference per seed.
        variances: its sampling variance within the seed.
    """
    count = len(estimates)
    if count == 0 or count != len(variances):
        raise ValueError(f"{count} estimates with {len(variances)} variances")
    mean, within = float(np.mean(estimates)), float(np.mean(variances)) / count
    if count == 1:
        return Pooled(mean, math.sqrt(within), math.inf)
    between = float(np.var(estimates, ddof=1)) / count
    return Pooled(mean, math.sqrt(max(between, within)), count - 1)


def predict_next(
    values: Sequence[float], confidence: float = 0.95, low: float = -math.inf, high: float = math.inf
) -> Interval | None:
    """Mean of values with the interval that one more value falls into; None of fewer than two.

    Student's prediction interval for normal values (Geisser, Predictive Inference, 1993, ch. 2), cut where values end.
    """
    count = len(values)
    if count < 2:
        return None
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.5 + confidence / 2, count - 1)) * spread * math.sqrt(1 + 1 / count)
    return Interval(mean, mean - half, mean + half).clip(low, high)


def find_standard_error(
    low: float | np.ndarray, high: float | np.ndarray, confidence: float = 0.95, degrees: float = math.inf
) -> float | np.ndarray:
    """The standard error behind Student's interval with these bounds."""
    return (high - low) / (2 * float(stats.t.ppf(0.5 + confidence / 2, degrees)))


def percentile_interval(
    estimate: float, draws: Float[np.ndarray, " draws"], confidence: float = 0.95
) -> Interval:
    """Percentile bootstrap interval (Efron and Tibshirani, 1993) from the draws."""
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(estimate), float(low), float(high))


def draw_clusters(count: int, resamples: int, seed: int) -> Int[np.ndarray, "resamples clusters"]:
    """How often each of so many clusters is drawn, per resample."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)


FEWEST = 5  # values from which on a mean has an interval


def mean_interval(
    values: Float[np.ndarray, " values"], *, resamples: int, seed: int, confidence: float = 0.95
) -> tuple[float | None, float | None, float | None]:
    """Mean with the bounds of its percentile bootstrap; no bounds below FEWEST values, no mean of none."""
    if len(values) < FEWEST:
        return float(values.mean()) if len(values) else None, None, None
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=resamples, confidence_level=confidence, method="percentile", rng=seed
    )  # fmt: skip
    low, high = found.confidence_interval
    return float(values.mean()), float(low), float(high)


class Band(NamedTuple):
    """Mean over answers per token (from 1), the bounds of its interval, and the number of answers of the class."""

    tokens: Float[np.ndarray, " tokens"]
    mean: Float[np.ndarray, " tokens"]
    low: Float[np.ndarray, " tokens"]
    high: Float[np.ndarray, " tokens"]
    n: int


def mean_band(
    values: Float[np.ndarray, "answers tokens"], *, resamples: int, seed: int, confidence: float = 0.95
) -> Band | None:
    """Mean per token over the answers that reach it, with a percentile bootstrap over whole answers.

    None below FEWEST answers. Answers end (NaN) at different tokens: later means are over fewer of them.
    """
    if len(values) < FEWEST:
        return None
    reached = (~np.isnan(values)).sum(0) >= FEWEST
    kept = values[:, reached]
    chosen = np.random.default_rng(seed).integers(0, len(kept), (resamples, len(kept)))
    sums, counts = np.nan_to_num(kept)[chosen].sum(1), (~np.isnan(kept))[chosen].sum(1)
    means = sums / np.where(counts, counts, np.nan)  # a draw may hold no answer that reaches a token
    low, high = np.nanquantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
    return Band(np.flatnonzero(reached) + 1.0, np.nanmean(kept, axis=0), low, high, len(values))
