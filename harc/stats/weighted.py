"""Rates over prompts that do not count alike."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from scipy import stats


class WeightedRate(NamedTuple):
    """A weighted share with its interval, and the number of equal weights that would be worth as much."""

    estimate: float
    low: float
    high: float
    effective: float


def estimate_weighted_rate(
    hits: Sequence[bool], weights: Sequence[float], confidence: float = 0.95
) -> WeightedRate:
    """Share of the weight that hits hold.

    The interval is Wilson's for as many prompts as the effective number (sum w)^2 / sum w^2 (Kish, Survey Sampling,
    1965), which is the number itself where all weights are equal.

    Args:
        hits: whether each prompt counts; at least one prompt.
        weights: of the same prompts, above 0.
    """
    top = max(weights)
    scaled = [weight / top for weight in weights]  # sums of squares of huge weights would overflow
    total = math.fsum(scaled)
    effective = total**2 / math.fsum(weight**2 for weight in scaled)
    rate = math.fsum(weight for weight, hit in zip(scaled, hits, strict=True) if hit) / total
    z = float(stats.norm.ppf((1 + confidence) / 2))
    shrink = 1 + z**2 / effective
    centre = (rate + z**2 / (2 * effective)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / effective + (z / (2 * effective)) ** 2) / shrink
    return WeightedRate(rate, max(0.0, centre - half), min(1.0, centre + half), effective)
