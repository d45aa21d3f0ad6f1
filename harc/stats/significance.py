"""Tests, their adjustment for being several, and what a test of this size could show."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from jaxtyping import Float
from scipy import stats


def one_sided_p(statistic: float, degrees: float) -> float:
    """Probability of a larger t statistic under the hypothesis; infinite degrees of freedom: a normal one."""
    return float(stats.t.sf(statistic, degrees))


@cache
def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar test on the discordant pairs (McNemar, Psychometrika 12:153, 1947).

    Args:
        only_first: pairs where only the first of the two succeeded.
        only_second: pairs where only the second did.

    Returns:
        The p value; 1 where no pair is discordant.
    """
    discordant = only_first + only_second
    return float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjusted p values, in input order (Holm, Scand. J. Stat. 6:65, 1979); None is no test."""
    tested = {index: value for index, value in enumerate(p_values) if value is not None}
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(tested, key=tested.__getitem__)):
        running = max(running, (len(tested) - rank) * tested[index])
        adjusted[index] = min(1.0, running)
    return adjusted


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
    # The difference d that equals its margin, d^2 = c (p (1 - p) + q (1 - q)) with q = p +- d: a quadratic in d.
    c = detectable_effect(1.0, confidence=confidence, power=power) ** 2 / n
    tilt = c * abs(1 - 2 * rate)
    root = math.sqrt(tilt**2 + 8 * c * (1 + c) * rate * (1 - rate))
    difference = (tilt + root) / (2 * (1 + c))
    return difference if difference <= max(rate, 1 - rate) else math.nan


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
    return float(stats.t.ppf([0.5 + confidence / 2, power], degrees).sum()) * standard_error


MOST_FLIPPED = 44  # values whose flips are all counted: two halves of 2^22 sums


def flip_signs(values: Float[np.ndarray, " values"]) -> float | None:
    """Exact two-sided sign-flip test of a mean of 0 (Fisher, The Design of Experiments, 1935, section 21).

    The share of all 2^n assignments of signs whose sum is at least as far from 0 as that found; the sums of two halves
    are counted against each other, so that 36 values take a second. None above MOST_FLIPPED values.
    """
    held = values.astype(float)
    if len(held) > MOST_FLIPPED:
        return None
    sums = []
    for half in np.array_split(held, 2):
        found = np.zeros(1)
        for value in half:
            found = np.concatenate([found + value, found - value])
        sums.append(np.sort(found))
    reach = abs(float(held.sum())) - 1e-12 * float(np.abs(held).sum() + 1)
    if reach <= 0:
        return 1.0
    above = len(sums[1]) - np.searchsorted(sums[1], reach - sums[0], side="left")
    return float(2 * above.sum() / 2.0 ** len(held))
