"""The one estimator of rates: of one suite or a mean of several, on one seed or over some.

A sample is a data frame with a row per judged prompt of one seed: `suite` (its stratum), `goal` (its cluster: prompts
with one goal are not independent), and `hit` (0 or 1). Differences: `harc.stats.contrasts`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from harc.stats.intervals import Interval, Pooled, find_standard_error, pool_seeds, wilson_interval
from harc.stats.significance import detectable_effect, minimum_detectable_difference

POWER = 0.8  # of the smallest detectable differences
# Pseudo-observations per stratum, (summed squared spread, count): four answers of which two are hits (Agresti
# and Coull, 1998).
RATE_PSEUDO = (2.0, 4)
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
