"""Intervals and tests behind every rate: one module, checked against scipy and statsmodels in the tests."""

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    """An estimate with the bounds of its confidence interval."""

    estimate: float
    low: float
    high: float


def normal_quantile(probability: float) -> float:
    """Quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(probability)


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson score interval of a rate (Wilson, JASA 22:209, 1927).

    Raises:
        ValueError: unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} is no rate")
    z2 = normal_quantile(0.5 + confidence / 2) ** 2
    rate = successes / n
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2) / (1 + z2 / n) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n))
    # At the ends the bound is exact in algebra but not in floating point.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(rate, low, high)


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar test on the discordant pairs (McNemar, Psychometrika 12:153, 1947).

    Args:
        only_first: pairs where only the first of the two succeeded.
        only_second: pairs where only the second did.

    Returns:
        The p value; 1 where no pair is discordant.
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    tail = sum(math.comb(discordant, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in input order (Holm, Scand. J. Stat. 6:65, 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, (len(p_values) - rank) * p_values[index])
        adjusted[index] = min(1.0, running)
    return adjusted


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Chance-corrected agreement of two raters (Cohen, Educ. Psychol. Meas. 20:37, 1960).

    Returns:
        Kappa; NaN where both raters always give one and the same label, since chance agreement is then 1.

    Raises:
        ValueError: if the lengths differ or are 0.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"two raters need equally many labels, found {len(first)} and {len(second)}")
    n = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    labels = set(first) | set(second)
    chance = sum(first.count(label) * second.count(label) for label in labels) / n**2
    return math.nan if chance == 1 else (observed - chance) / (1 - chance)


def minimum_detectable_difference(
    n: int, rate: float, *, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Smallest difference from `rate` that two unpaired samples of n would show with the given power.

    Two-sided test of two proportions with unpooled variance, n per group (Fleiss, Levin and Paik,
    Statistical Methods for Rates and Proportions, 3rd ed., ch. 4). Pairing makes the true figure smaller.

    Returns:
        The difference in rate points (0 to 1), towards the roomier side; NaN where not even the far end of
        the scale would be detected.
    """
    if n <= 0 or not 0 <= rate <= 1:
        raise ValueError(f"n={n} at rate {rate} is no sample")
    quantiles = normal_quantile(0.5 + confidence / 2) + normal_quantile(power)
    direction = 1 if rate < 0.5 else -1
    room = 1 - rate if direction > 0 else rate

    def margin(difference: float) -> float:
        other = rate + direction * difference
        return difference - quantiles * math.sqrt((rate * (1 - rate) + other * (1 - other)) / n)

    if margin(room) < 0:
        return math.nan
    low, high = 0.0, room
    # At rate 0 or 1 the margin vanishes at 0 too; bisection from the far end finds the larger root.
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if margin(middle) >= 0 else (middle, high)
    return high


def detectable_effect(
    standard_error: float, degrees: float = math.inf, *, confidence: float = 0.95, power: float = 0.8
) -> float:
    """Smallest effect that a two-sided test with this standard error would show with the given power.

    The sum of two t quantiles times the standard error (Bloom, Evaluation Review 19:547, 1995), exact for infinite
    degrees of freedom and a little too small for few.

    Args:
        standard_error: of the estimated effect.
        degrees: of freedom of the test; infinite for a normal one.
        confidence: 1 minus the test's level.
        power: probability of showing the effect.
    """
    if math.isinf(degrees):
        quantiles = normal_quantile(0.5 + confidence / 2) + normal_quantile(power)
    else:
        from scipy.special import stdtrit

        quantiles = float(stdtrit(degrees, 0.5 + confidence / 2) + stdtrit(degrees, power))
    return quantiles * standard_error


def random_effects_interval(
    estimates: Sequence[float], variances: Sequence[float], confidence: float = 0.95
) -> Interval:
    """Mean over training seeds, with the seed as a random effect.

    The squared standard error is the larger of the between-seed variance and the mean sampling variance, over
    k, so that seeds which agree by luck do not give an interval narrower than their prompts allow. It is
    Student's t with k - 1 degrees of freedom for k > 1 seeds; with one seed the normal interval of that seed,
    which says nothing about other seeds.

    Args:
        estimates: one rate or difference per seed.
        variances: its sampling variance within the seed.
    """
    count = len(estimates)
    if count == 0 or count != len(variances):
        raise ValueError(f"{count} estimates with {len(variances)} variances")
    mean = float(np.mean(estimates))
    within = float(np.mean(variances)) / count
    if count == 1:
        half = normal_quantile(0.5 + confidence / 2) * math.sqrt(within)
        return Interval(mean, mean - half, mean + half)
    from scipy.special import stdtrit

    between = float(np.var(estimates, ddof=1)) / count
    half = float(stdtrit(count - 1, 0.5 + confidence / 2)) * math.sqrt(max(between, within))
    return Interval(mean, mean - half, mean + half)


def pooled_rate(successes: Sequence[int], totals: Sequence[int], confidence: float = 0.95) -> Interval:
    """Mean rate over seeds with its random-effects interval, kept within 0 and 1.

    A single seed gets its Wilson interval.
    """
    if len(successes) == 1:
        return wilson_interval(successes[0], totals[0], confidence)
    rates = [count / n for count, n in zip(successes, totals, strict=True)]
    # The Wilson centre keeps the sampling variance off 0 where a rate is 0 or 1.
    shrunk = [(count + 2) / (n + 4) for count, n in zip(successes, totals, strict=True)]
    variances = [p * (1 - p) / n for p, n in zip(shrunk, totals, strict=True)]
    mean, low, high = random_effects_interval(rates, variances, confidence)
    return Interval(mean, max(0.0, low), min(1.0, high))
