"""Areas under ROC curves, with DeLong's interval."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special, stats


class Area(NamedTuple):
    """Area under the ROC curve with its interval and the two class sizes."""

    estimate: float
    low: float
    high: float
    positives: int
    negatives: int


def share_below(
    values: Float[np.ndarray, " values"], others: Float[np.ndarray, " others"]
) -> Float[np.ndarray, " values"]:
    """For each value, the share of the others below it, ties counted half."""
    order = np.sort(others)
    below = np.searchsorted(order, values, side="left")
    return (below + np.searchsorted(order, values, side="right")) / (2 * len(order))


def measure_area(
    positives: Float[np.ndarray, " positives"], negatives: Float[np.ndarray, " negatives"]
) -> float:
    """Probability that a positive lies above a negative, ties counted half (Mann and Whitney, 1947)."""
    return float(share_below(positives, negatives).mean())


def estimate_area(
    positives: Float[np.ndarray, " positives"],
    negatives: Float[np.ndarray, " negatives"],
    confidence: float = 0.95,
) -> Area | None:
    """Area with DeLong's interval on the logit scale (Biometrics 44:837, 1988); None below two points.

    A perfect area has no spread; its bound then comes from the rule of three on the smaller class.
    """
    positives, negatives = (values[~np.isnan(values)] for values in (positives, negatives))
    sizes = (len(positives), len(negatives))
    if min(sizes) < 2:
        return None
    wins, losses = share_below(positives, negatives), share_below(negatives, positives)
    area = float(wins.mean())
    if area in (0.0, 1.0):
        reach = min(1.0, -np.log(1 - confidence) / min(sizes))
        low, high = (max(0.0, 1 - reach), 1.0) if area == 1.0 else (0.0, reach)
        return Area(area, low, high, *sizes)
    variance = wins.var(ddof=1) / len(wins) + losses.var(ddof=1) / len(losses)
    half = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(variance) / (area * (1 - area))
    low, high = (float(special.expit(special.logit(area) + sign * half)) for sign in (-1, 1))
    return Area(area, low, high, *sizes)
