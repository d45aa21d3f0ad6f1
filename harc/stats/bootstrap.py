"""Seeded percentile bootstraps: paired differences, means of family rates, clusters of prompts or seeds."""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float, Int

from harc.stats.statistics import Interval, cohens_kappa


def _percentile_interval(estimate: float, draws: Float[np.ndarray, " draws"], confidence: float) -> Interval:
    low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Interval(float(estimate), float(low), float(high))


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
    return _percentile_interval(estimate, draws, confidence)


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


def kappa_interval(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    clusters: Sequence[Hashable] | None = None,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Cohen's kappa of two raters with a bootstrap over what they rated.

    Args:
        first: labels of one rater.
        second: labels of the other.
        clusters: what is drawn together, as answers of several methods to one prompt; each label alone by default.
        resamples: draws.
        seed: of the draws.
        confidence: coverage.

    Returns:
        NaN for whatever is not defined: the estimate where both raters always give one label, the bounds where
        that is so in every draw.

    Raises:
        ValueError: if the lengths differ or are 0.
    """
    estimate = cohens_kappa(first, second)
    names = list(range(len(first))) if clusters is None else list(clusters)
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    label_at = {label: index for index, label in enumerate(dict.fromkeys([*first, *second]))}
    tables = np.zeros((len(place), len(label_at), len(label_at)))
    for ours, theirs, name in zip(first, second, names, strict=True):
        tables[place[name], label_at[ours], label_at[theirs]] += 1
    weights = _cluster_weights([0] * len(place), resamples, np.random.default_rng(seed))
    drawn = np.einsum("rc,cij->rij", weights, tables)
    total = drawn.sum(axis=(1, 2))
    observed = np.trace(drawn, axis1=1, axis2=2) / total
    chance = (drawn.sum(axis=2) * drawn.sum(axis=1)).sum(axis=1) / total**2
    defined = chance < 1
    if not defined.any():
        return Interval(estimate, math.nan, math.nan)
    return _percentile_interval(
        estimate, (observed[defined] - chance[defined]) / (1 - chance[defined]), confidence
    )


def seeds_bootstrap_interval(
    values_by_seed: Sequence[Sequence[float]], *, resamples: int, seed: int, confidence: float = 0.95
) -> Interval:
    """Mean over seeds with a two-stage cluster bootstrap: seeds are drawn, then prompts within each of them.

    With few seeds this interval is too narrow (three seeds give ten distinct draws of seeds); the
    random-effects interval is the one to quote, this one a check on its normality.
    """
    generator = np.random.default_rng(seed)
    arrays = [np.asarray(values, dtype=float) for values in values_by_seed]
    if not arrays or any(array.size == 0 for array in arrays):
        raise ValueError("every seed needs at least one value")
    inner = np.stack(
        [array[generator.integers(array.size, size=(resamples, array.size))].mean(axis=1) for array in arrays]
    )
    # A seed that is picked twice needs inner draws of its own; a permutation decorrelates the columns.
    picks = generator.integers(len(arrays), size=(len(arrays), resamples))
    draws = np.stack([inner[row, generator.permutation(resamples)] for row in picks]).mean(axis=0)
    return _percentile_interval(float(np.mean([array.mean() for array in arrays])), draws, confidence)
