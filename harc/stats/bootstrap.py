"""Seeded percentile bootstraps: paired differences, means of family rates, clusters of prompts."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int

from harc.stats.intervals import Interval, percentile_interval


def _cluster_weights(
    groups: Sequence[Hashable], resamples: int, generator: np.random.Generator
) -> Int[np.ndarray, "resamples clusters"]:
    """How often each cluster is drawn per resample; clusters are drawn within their group only."""
    weights = np.zeros((resamples, len(groups)), dtype=np.int64)
    for group in dict.fromkeys(groups):
        members = np.array([index for index, other in enumerate(groups) if other == group])
        share = np.full(len(members), 1 / len(members))
        weights[:, members] = generator.multinomial(len(members), share, size=resamples)
    return weights


def mean_of_rates_interval(
    values: Sequence[float],
    strata: Sequence[Hashable],
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Unweighted mean of the strata's means (as mean ASR over attack families), with a stratified bootstrap.

    Whole clusters are drawn, so that one goal attacked by several families counts once as a source of chance.
    Clusters that occur in the same strata are exchangeable and are drawn among themselves, which keeps every
    stratum's size as close to the observed one as the clusters allow.

    Args:
        values: one outcome per row (0 or 1, a score, or a paired difference).
        strata: the row's stratum, as the attack family.
        clusters: the row's cluster, as the goal; None makes each row its own.
        resamples: bootstrap draws.
        seed: of the draws.
        confidence: coverage.

    Raises:
        ValueError: if the lengths differ or there are no rows.
    """
    clusters = list(range(len(values))) if clusters is None else list(clusters)
    if not values or not len(values) == len(strata) == len(clusters):
        raise ValueError(f"{len(values)} values, {len(strata)} strata, {len(clusters)} clusters")
    stratum_names, cluster_names = list(dict.fromkeys(strata)), list(dict.fromkeys(clusters))
    sums = np.zeros((len(cluster_names), len(stratum_names)))
    counts = np.zeros_like(sums)
    cluster_at = {name: index for index, name in enumerate(cluster_names)}
    stratum_at = {name: index for index, name in enumerate(stratum_names)}
    for value, stratum, cluster in zip(values, strata, clusters, strict=True):
        sums[cluster_at[cluster], stratum_at[stratum]] += value
        counts[cluster_at[cluster], stratum_at[stratum]] += 1
    signatures = [tuple(row > 0) for row in counts]
    weights = _cluster_weights(signatures, resamples, np.random.default_rng(seed))
    estimate = (sums.sum(0) / counts.sum(0)).mean()
    draws = ((weights @ sums) / (weights @ counts)).mean(axis=1)
    return percentile_interval(estimate, draws, confidence)


def paired_difference_interval(
    first: Sequence[float],
    second: Sequence[float],
    strata: Sequence[Hashable] | None = None,
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Mean of second - first over the same prompts, with a paired bootstrap (Efron and Tibshirani, 1993).

    With strata it is the mean of the strata's mean differences; see `mean_of_rates_interval`.

    Raises:
        ValueError: if the two do not pair up.
    """
    if len(first) != len(second):
        raise ValueError(f"pairs need equally many values, found {len(first)} and {len(second)}")
    differences = [float(after) - float(before) for before, after in zip(first, second, strict=True)]
    return mean_of_rates_interval(
        differences,
        ["all"] * len(differences) if strata is None else strata,
        clusters,
        resamples=resamples,
        seed=seed,
        confidence=confidence,
    )
