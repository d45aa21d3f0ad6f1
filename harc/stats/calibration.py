"""Calibration: whether what is said to happen with some probability happens that often."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from harc.stats.intervals import Interval, draw_clusters, percentile_interval, wilson_interval

EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
"""Bounds of the bins of a reliability table; finer where classifiers put most of their mass."""


class Bin(NamedTuple):
    """Probabilities between two bounds (the lower one included), and how often the event came with them."""

    low: float
    high: float
    n: int
    predicted: float
    observed: Interval


def brier_interval(
    probabilities: Float[np.ndarray, " events"],
    events: Bool[np.ndarray, " events"],
    clusters: Sequence[Hashable],
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Mean squared distance of probability and event (Brier, Mon. Weather Rev. 78:1, 1950), bootstrap over clusters."""
    place, groups = pd.factorize(pd.Series(list(clusters)))
    squares = (probabilities - events) ** 2
    sums = np.bincount(place, squares, len(groups))
    counts = np.bincount(place, minlength=len(groups))
    weights = draw_clusters(len(groups), resamples, seed)
    return percentile_interval(squares.mean(), (weights @ sums) / (weights @ counts), confidence)


def tabulate_reliability(
    probabilities: Float[np.ndarray, " events"],
    events: Bool[np.ndarray, " events"],
    edges: Sequence[float] = EDGES,
) -> list[Bin]:
    """Every bin that holds something, with the Wilson interval of what was observed in it."""
    place = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, len(edges) - 2)
    found = []
    for index in np.unique(place):
        inside = place == index
        observed = wilson_interval(int(events[inside].sum()), int(inside.sum()))
        predicted = float(probabilities[inside].mean())
        found.append(Bin(edges[index], edges[index + 1], int(inside.sum()), predicted, observed))
    return found


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance of what is predicted and what is observed, bins weighted by size (Naeini et al., AAAI 2015)."""
    total = sum(found.n for found in bins)
    return sum(found.n * abs(found.predicted - found.observed.estimate) for found in bins) / total
