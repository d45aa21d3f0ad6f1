"""The one estimator of rates and of paired differences: of one suite or a mean of several, on one seed or over some.

A sample is a data frame with a row per judged prompt of one seed: `suite` (its stratum), `goal` (its cluster: prompts
with one goal are not independent), and `hit` (0 or 1); of pairs, `first` and `second` in place of `hit`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from harc.stats.intervals import Interval, Pooled, find_standard_error, pool_seeds, wilson_interval
from harc.stats.significance import detectable_effect, mcnemar_exact, minimum_detectable_difference

POWER = 0.8  # of the smallest detectable differences
# Pseudo-observations per stratum, (summed squared spread, count): four answers of which two are hits (Agresti
# and Coull, 1998), and two pairs spread evenly over the four outcomes (Agresti and Min, 2005).
RATE_PSEUDO = (2.0, 4)
PAIR_PSEUDO = (1.0, 2)
NO_PSEUDO = (0.0, 1)


class Rate(NamedTuple):
    """A rate with its interval, the prompts per seed, the seeds, and the extremes over seeds.

    `detectable` is the smallest difference from this rate that an unpaired test on another model, asked the same
    number of prompts and seeds, would show with the given power; pairing makes the true figure smaller. `shares` are
    those of the states of all answers that the rate comes from (see `harc.results.outcomes.SHARES`), unjudged ones
    among them; whoever holds the answers adds them.
    """

    estimate: float
    low: float
    high: float
    n: int
    seeds: int
    seed_low: float
    seed_high: float
    detectable: float
    shares: tuple[float, ...] = ()


def estimate_mean(
    values: pd.Series, strata: pd.Series, clusters: pd.Series, pseudo: tuple[float, int]
) -> tuple[float, float]:
    """Unweighted mean of the strata's means and its sampling variance by linearisation over clusters.

    One goal attacked by several families counts once as a source of chance. The pseudo-observations keep samples
    without any spread (0 of 80) from claiming certainty.
    """
    stratum, names = pd.factorize(strata)
    cluster, goals = pd.factorize(clusters)
    held = np.asarray(values, dtype=float)
    sizes = np.bincount(stratum)
    means = np.bincount(stratum, held) / sizes
    influence = np.bincount(cluster, (held - means[stratum]) / (sizes[stratum] * len(names)))
    correction = len(goals) / (len(goals) - 1) if len(goals) > 1 else 1.0
    spread, added = pseudo
    prior = (spread / ((sizes + added) * len(names)) ** 2).sum()
    return float(means.mean()), float(correction * (influence**2).sum() + prior)


def estimate_score(groups: Sequence[Sequence[float]]) -> Pooled:
    """Mean of scores on any scale, those of one group not independent; the error is NaN for a single group."""
    values = pd.Series([value for group in groups for value in group], dtype=float)
    clusters = pd.Series([place for place, group in enumerate(groups) for _ in group])
    mean, variance = estimate_mean(values, pd.Series("", index=values.index), clusters, NO_PSEUDO)
    return Pooled(mean, math.sqrt(variance) if len(groups) > 1 else math.nan, math.inf)


def pooled_rate(successes: Sequence[int], totals: Sequence[int], confidence: float = 0.95) -> Interval:
    """Mean rate over seeds with its random-effects interval, kept within 0 and 1.

    A single seed gets its Wilson interval.
    """
    if len(successes) == 1:
        return wilson_interval(int(successes[0]), int(totals[0]), confidence)
    counts, n = np.asarray(successes, dtype=float), np.asarray(totals, dtype=float)
    # The Wilson centre keeps the sampling variance off 0 where a rate is 0 or 1.
    shrunk = (counts + 2) / (n + 4)
    pooled = pool_seeds(list(counts / n), list(shrunk * (1 - shrunk) / n))
    return pooled.interval(confidence).clip(0.0, 1.0)


def make_sample(hits: Sequence[float]) -> pd.DataFrame:
    """A sample of one suite whose prompts are independent."""
    return pd.DataFrame({"suite": "", "goal": range(len(hits)), "hit": list(hits)})


def make_pairs(first: Sequence[float], second: Sequence[float]) -> pd.DataFrame:
    """Pairs of one suite that are independent."""
    both = {"first": np.asarray(first, dtype=float), "second": np.asarray(second, dtype=float)}
    return pd.DataFrame({"suite": "", "goal": range(len(first)), **both})


def estimate_rate(
    samples: Sequence[pd.DataFrame],
    confidence: float = 0.95,
    power: float = POWER,
    *,
    clustered: bool = False,
) -> Rate:
    """Rate over all seeds, of which there is at least one; every sample holds the same suites.

    One suite: Wilson's interval for one seed, random effects over several. Several suites: their unweighted mean, its
    sampling variance clustered by goal, since one goal stands behind a prompt of every attack. `clustered` treats one
    suite like several, where its prompts share goals.
    """
    count, single = len(samples), samples[0]["suite"].nunique() == 1 and not clustered
    degrees = count - 1 if count > 1 else math.inf
    if single:
        hits, totals = [int(sample["hit"].sum()) for sample in samples], [len(sample) for sample in samples]
        rates = [hit / n for hit, n in zip(hits, totals, strict=True)]
        interval = pooled_rate(hits, totals, confidence)
        error = find_standard_error(interval.low, interval.high, confidence, degrees)
    else:
        parts = [estimate_mean(s["hit"], s["suite"], s["goal"], RATE_PSEUDO) for s in samples]
        rates = [rate for rate, _ in parts]
        pooled = pool_seeds(rates, [variance for _, variance in parts])
        interval, error = pooled.interval(confidence).clip(0.0, 1.0), pooled.standard_error
    if single and count == 1:
        detectable = minimum_detectable_difference(
            len(samples[0]), interval.estimate, confidence=confidence, power=power
        )
    else:
        detectable = detectable_effect(
            math.sqrt(2) * float(error), degrees, confidence=confidence, power=power
        )
    return Rate(*interval, len(samples[0]), count, min(rates), max(rates), detectable)


class Difference(NamedTuple):
    """A paired difference (second minus first) with its interval and two-sided p value.

    `only_first` and `only_second` count the prompts where just one of the two is a hit, over all seeds;
    `seeds_lower` counts the seeds whose own difference is below 0.
    """

    estimate: float
    low: float
    high: float
    p: float
    standard_error: float
    degrees: float
    n: int
    seeds: int
    only_first: int
    only_second: int
    seeds_lower: int

    def find_detectable(self, confidence: float, power: float = POWER) -> float:
        """The smallest difference that this comparison would show with the given power."""
        return detectable_effect(self.standard_error, self.degrees, confidence=confidence, power=power)


def estimate_difference(pairs: Sequence[pd.DataFrame], confidence: float = 0.95) -> Difference:
    """Second minus first on the same prompts, over all seeds, of which there is at least one.

    p is McNemar's exact test for one suite and one seed, else that of the interval's own t statistic.
    """
    parts = [estimate_mean(p["second"] - p["first"], p["suite"], p["goal"], PAIR_PSEUDO) for p in pairs]
    pooled = pool_seeds([mean for mean, _ in parts], [variance for _, variance in parts])
    only_first, only_second = (
        sum(int((pair[one] > pair[other]).sum()) for pair in pairs)
        for one, other in (("first", "second"), ("second", "first"))
    )
    exact = len(pairs) == 1 and pairs[0]["suite"].nunique() == 1
    return Difference(
        *pooled.interval(confidence).clip(-1.0, 1.0),
        mcnemar_exact(only_first, only_second) if exact else pooled.test(),
        pooled.standard_error,
        pooled.degrees,
        len(pairs[0]),
        len(pairs),
        only_first,
        only_second,
        sum(mean < 0 for mean, _ in parts),
    )
