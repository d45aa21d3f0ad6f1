"""Agreement: of two raters on labels, and of several profiles on an order."""

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from harc.stats.intervals import Interval, Pooled, draw_clusters, percentile_interval


def _count_labels(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    clusters: Sequence[Hashable],
    weights: Sequence[float] | None = None,
) -> Float[np.ndarray, "clusters labels labels"]:
    """How often each pair of labels occurs, by cluster; a pair counts as many times as its weight says.

    Raises:
        ValueError: if the lengths differ or are 0.
    """
    if len(first) != len(second) or not len(first):
        raise ValueError(f"two raters need equally many labels, found {len(first)} and {len(second)}")
    codes, names = pd.factorize(pd.Series([*first, *second]))
    place, groups = pd.factorize(pd.Series(list(clusters)))
    tables = np.zeros((len(groups), len(names), len(names)))
    pairs = (place, codes[: len(first)], codes[len(first) :])
    np.add.at(tables, pairs, 1.0 if weights is None else np.asarray(weights, dtype=float))
    return tables


def _find_kappa(tables: Float[np.ndarray, "tables labels labels"]) -> Float[np.ndarray, " tables"]:
    """Kappa of each table of counts; NaN where chance agreement is 1."""
    total = tables.sum(axis=(1, 2))
    observed = np.trace(tables, axis1=1, axis2=2) / total
    chance = (tables.sum(axis=2) * tables.sum(axis=1)).sum(axis=1) / total**2
    with np.errstate(invalid="ignore"):
        return (observed - chance) / np.where(chance < 1, 1 - chance, np.nan)


def cohens_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Chance-corrected agreement of two raters (Cohen, Educ. Psychol. Meas. 20:37, 1960).

    Returns:
        Kappa; NaN where both raters always give one and the same label, since chance agreement is then 1.

    Raises:
        ValueError: if the lengths differ or are 0.
    """
    return float(_find_kappa(_count_labels(first, second, [0] * len(first)))[0])


def kappa_interval(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
    weights: Sequence[float] | None = None,
) -> Interval:
    """Cohen's kappa of two raters with a percentile bootstrap over what they rated.

    Args:
        first: labels of one rater.
        second: labels of the other.
        clusters: what is drawn together, as answers of several methods to one prompt; each label alone by default.
        resamples: draws.
        seed: of the draws.
        confidence: coverage.
        weights: how many of what was rated each label stands for, where they were drawn unevenly.

    Returns:
        NaN for whatever is not defined: the estimate where both raters always give one label, the bounds where
        that is so in every draw.

    Raises:
        ValueError: if the lengths differ or are 0.
    """
    tables = _count_labels(first, second, range(len(first)) if clusters is None else clusters, weights)
    estimate = float(_find_kappa(tables.sum(axis=0, keepdims=True))[0])
    draws = draw_clusters(len(tables), resamples, seed)
    drawn = _find_kappa(np.einsum("rc,cij->rij", draws, tables))
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return Interval(estimate, math.nan, math.nan)
    return percentile_interval(estimate, drawn, confidence)


def agreement_interval(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
    weights: Sequence[float] | None = None,
) -> Interval:
    """Share of equal labels of two raters; arguments and bootstrap as for `kappa_interval`.

    Raises:
        ValueError: if the lengths differ or are 0.
    """
    tables = _count_labels(first, second, range(len(first)) if clusters is None else clusters, weights)
    equal, total = np.trace(tables, axis1=1, axis2=2), tables.sum(axis=(1, 2))
    draws = draw_clusters(len(tables), resamples, seed)
    return percentile_interval(equal.sum() / total.sum(), (draws @ equal) / (draws @ total), confidence)


class RankAgreement(NamedTuple):
    """Mean rank correlation over all pairs of profiles, its standard error over profiles, and the pairs' own values."""

    estimate: float
    standard_error: float
    degrees: int
    pairs: Float[np.ndarray, "profiles profiles"]

    def interval(self, confidence: float = 0.95) -> Interval:
        """Student's interval of the mean correlation, cut to what a correlation can be."""
        return Pooled(*self[:3]).interval(confidence).clip(-1.0, 1.0)


def correlate_ranks(
    profiles: Sequence[Float[np.ndarray, " depths"]],
) -> Float[np.ndarray, "profiles profiles"]:
    """Spearman's correlation of every two profiles; NaN where one is constant."""
    return pd.DataFrame(dict(enumerate(profiles))).corr(method="spearman").to_numpy()


def mean_of_pairs(pairs: Float[np.ndarray, "profiles profiles"]) -> float:
    """Mean above the diagonal."""
    return float(pairs[np.triu_indices(len(pairs), 1)].mean())


def estimate_rank_agreement(profiles: Sequence[Float[np.ndarray, " depths"]]) -> RankAgreement | None:
    """Mean rank correlation over pairs, with the jackknife over profiles; None for fewer than three.

    Profiles are the sample: each is left out in turn, so that the interval speaks of a further one. Pairs share
    profiles, and the points of one profile are no independent draws, so that neither can be.
    """
    if len(profiles) < 3:
        return None
    pairs = correlate_ranks(profiles)
    count = len(pairs)
    without = [mean_of_pairs(np.delete(np.delete(pairs, index, 0), index, 1)) for index in range(count)]
    error = math.sqrt((count - 1) * np.var(without))
    return RankAgreement(mean_of_pairs(pairs), error, count - 1, pairs)
