"""Rates and paired differences with intervals, over the prompts of one seed and over training seeds."""

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from harc.results.outcomes import SHARES, Outcome, is_hit, list_suites, select_suites, share_states
from harc.stats.statistics import (
    detectable_effect,
    mcnemar_exact,
    minimum_detectable_difference,
    pooled_rate,
    random_effects_interval,
)

# Pseudo-observations per stratum, (summed squared spread, count): four answers of which two are hits (Agresti
# and Coull, 1998), and two pairs spread evenly over the four outcomes (Agresti and Min, 2005).
RATE_PSEUDO = (2.0, 4)
PAIR_PSEUDO = (1.0, 2)
POWER = 0.8  # of the smallest detectable differences; as evaluation.power


class Rate(NamedTuple):
    """A rate with its interval, the prompts per seed, the seeds, and the extremes over seeds.

    `detectable` is the smallest difference from this rate that an unpaired test on another model, asked the same
    number of prompts and seeds, would show with power 0.8; pairing makes the true figure smaller. `shares` are those
    of `harc.results.outcomes.SHARES` among all answers that the rate comes from, and those that no judge could read.
    """

    estimate: float
    low: float
    high: float
    n: int
    seeds: int
    seed_low: float
    seed_high: float
    detectable: float
    shares: tuple[float, ...] = (0.0,) * len(SHARES)


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


def _mean_and_variance(
    values: Sequence[float], strata: Sequence[str], clusters: Sequence[Hashable], pseudo: tuple[float, int]
) -> tuple[float, float]:
    """Unweighted mean of the strata's means and its sampling variance by linearisation over clusters.

    The pseudo-observations keep samples without any spread (0 of 80) from claiming certainty.
    """
    members: dict[str, list[float]] = defaultdict(list)
    for value, stratum in zip(values, strata, strict=True):
        members[stratum].append(value)
    means = {stratum: sum(held) / len(held) for stratum, held in members.items()}
    influence: dict[Hashable, float] = defaultdict(float)
    for value, stratum, cluster in zip(values, strata, clusters, strict=True):
        influence[cluster] += (value - means[stratum]) / (len(members[stratum]) * len(members))
    count = len(influence)
    correction = count / (count - 1) if count > 1 else 1.0
    spread, added = pseudo
    prior = sum(spread / ((len(held) + added) * len(members)) ** 2 for held in members.values())
    variance = correction * sum(share**2 for share in influence.values()) + prior
    return sum(means.values()) / len(means), variance


def _covers(outcomes: Sequence[Outcome], suites: Sequence[str]) -> bool:
    return {outcome.suite for outcome in outcomes} == set(suites)


def estimate_rate(
    by_seed: Mapping[int, Sequence[Outcome]], metric: str, confidence: float = 0.95
) -> Rate | None:
    """Rate of a metric over all seeds, or None where a suite of it was not run.

    One suite: Wilson interval for one seed, random effects over several. A mean of suites: sampling variance
    clustered by goal, since one goal stands behind a prompt of every attack.
    """
    suites = list_suites(metric)
    chosen = [select_suites(outcomes, suites) for outcomes in by_seed.values()]
    chosen = [outcomes for outcomes in chosen if _covers(outcomes, suites)]
    if not chosen:
        return None
    hits = [[float(is_hit(o.suite, o.label)) for o in outcomes] for outcomes in chosen]
    if len(suites) == 1:
        rates = [sum(h) / len(h) for h in hits]
        interval = pooled_rate([int(sum(h)) for h in hits], [len(h) for h in hits], confidence)
    else:
        parts = [
            _mean_and_variance(h, [o.suite for o in outcomes], [o.goal for o in outcomes], RATE_PSEUDO)
            for h, outcomes in zip(hits, chosen, strict=True)
        ]
        rates = [rate for rate, _ in parts]
        interval = random_effects_interval(rates, [variance for _, variance in parts], confidence)
    low, high = max(0.0, interval.low), min(1.0, interval.high)
    if len(suites) == 1 and len(chosen) == 1:
        detectable = minimum_detectable_difference(
            len(chosen[0]), interval.estimate, confidence=confidence, power=POWER
        )
    else:
        degrees = len(chosen) - 1 if len(chosen) > 1 else math.inf
        error = _standard_error(interval.high - interval.low, degrees, confidence)
        detectable = detectable_effect(math.sqrt(2) * error, degrees, confidence=confidence, power=POWER)
    shares = share_states([o for outcomes in by_seed.values() for o in outcomes if o.suite in suites])
    spread = (len(chosen[0]), len(chosen), min(rates), max(rates))
    return Rate(interval.estimate, low, high, *spread, detectable, shares)


def _pair_up(first: Sequence[Outcome], second: Sequence[Outcome], suites: Sequence[str]):
    """(outcome, hit of first, hit of second) for every prompt that both answered."""
    answers = {(o.suite, o.id): is_hit(o.suite, o.label) for o in select_suites(first, suites)}
    return [
        (o, answers[o.suite, o.id], is_hit(o.suite, o.label))
        for o in select_suites(second, suites)
        if (o.suite, o.id) in answers
    ]


def two_sided_p(estimate: float, standard_error: float, degrees: float) -> float:
    """Two-sided p value of estimate / standard error under Student's t (infinite degrees: normal)."""
    from scipy.stats import t

    return float(2 * t.sf(abs(estimate) / standard_error, degrees))


def estimate_difference(
    first: Mapping[Hashable, Sequence[Outcome]],
    second: Mapping[Hashable, Sequence[Outcome]],
    metric: str,
    confidence: float = 0.95,
) -> Difference | None:
    """Second minus first on the same prompts and seeds, or None where they share none.

    The keys are seeds, or pairs of backbone and seed to pool over both.

    p is McNemar's exact test for one suite and one seed, else that of the interval's own t statistic.
    """
    suites = list_suites(metric)
    paired = [_pair_up(first[seed], second[seed], suites) for seed in first if seed in second]
    paired = [pairs for pairs in paired if _covers([o for o, _, _ in pairs], suites)]
    if not paired:
        return None
    parts = [
        _mean_and_variance(
            [float(after) - float(before) for _, before, after in pairs],
            [o.suite for o, _, _ in pairs],
            [o.goal for o, _, _ in pairs],
            PAIR_PSEUDO,
        )
        for pairs in paired
    ]
    interval = random_effects_interval([mean for mean, _ in parts], [var for _, var in parts], confidence)
    only_first = sum(before and not after for pairs in paired for _, before, after in pairs)
    only_second = sum(after and not before for pairs in paired for _, before, after in pairs)
    degrees = len(paired) - 1 if len(paired) > 1 else math.inf
    error = _standard_error(interval.high - interval.low, degrees, confidence)
    if len(paired) == 1 and len(suites) == 1:
        p = mcnemar_exact(only_first, only_second)
    else:
        p = two_sided_p(interval.estimate, error, degrees)
    return Difference(
        interval.estimate,
        max(-1.0, interval.low),
        min(1.0, interval.high),
        p,
        error,
        degrees,
        len(paired[0]),
        len(paired),
        only_first,
        only_second,
        sum(mean < 0 for mean, _ in parts),
    )


def _standard_error(width: float, degrees: float, confidence: float) -> float:
    from scipy.stats import t

    return width / 2 / float(t.ppf(0.5 + confidence / 2, degrees))
