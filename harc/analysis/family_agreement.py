"""Agreement of layer profiles across model families: rank correlations of the cosine by relative depth."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

GRID = 33  # relative depths at which profiles of different length are compared


class Agreement(NamedTuple):
    """Mean rank correlation over all pairs of families, its standard error over families, and the pairs' own values."""

    estimate: float
    standard_error: float
    degrees: int
    pairs: Float[np.ndarray, "families families"]


def resample_depth(profile: Float[np.ndarray, " slots"]) -> Float[np.ndarray, " depths"]:
    """A profile by relative depth, 0 the embedding and 1 the last block's output; slots without a value are left out."""
    depth = np.linspace(0.0, 1.0, len(profile))
    there = ~np.isnan(profile)
    return np.interp(np.linspace(0.0, 1.0, GRID), depth[there], profile[there])


def correlate_ranks(profiles: Sequence[Float[np.ndarray, " slots"]]) -> Float[np.ndarray, "families families"]:
    """Spearman's correlation of every two profiles by relative depth; NaN where a profile is constant."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(resample_depth(profile)) for profile in profiles])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.corrcoef(ranks)


def _mean_of_pairs(pairs: Float[np.ndarray, "families families"]) -> float:
    return float(pairs[np.triu_indices(len(pairs), 1)].mean())


def estimate_agreement(profiles: Mapping[str, Float[np.ndarray, " slots"]]) -> Agreement | None:
    """Mean rank correlation over pairs, with the jackknife over families; None for fewer than three.

    Families are the sample: each is left out in turn, so that the interval speaks of a further family. Pairs share
    families, and slots of one model are no independent draws, so that neither can be.
    """
    if len(profiles) < 3:
        return None
    pairs = correlate_ranks(list(profiles.values()))
    count = len(pairs)
    without = [
        _mean_of_pairs(np.delete(np.delete(pairs, index, 0), index, 1)) for index in range(count)
    ]
    spread = sum((value - sum(without) / count) ** 2 for value in without)
    return Agreement(_mean_of_pairs(pairs), math.sqrt((count - 1) / count * spread), count - 1, pairs)
