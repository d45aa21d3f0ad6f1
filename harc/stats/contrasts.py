"""The one estimator of paired differences.

A difference is the mean over suites of the mean over their prompts, averaged over runs. Two designs share it:

- fixed base: a run is a training seed on a model that never changes, and every seed is compared with that one base;
- organisms: a run is a backbone with a training of its own; its stratum is its architecture, and strata are not drawn.

Its variance: `harc.stats.crossed`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from harc.stats.crossed import Prompts, Runs, find_variance
from harc.stats.intervals import Pooled
from harc.stats.rates import POWER
from harc.stats.significance import detectable_effect, flip_signs, mcnemar_exact

# Summed squared spread and number of the pseudo-pairs of a suite: two, spread evenly over the four outcomes (Agresti
# and Min, Stat. Med. 24:729, 2005), so that pairs without any spread claim no certainty.
PAIR_PSEUDO = (1.0, 2)


class Difference(NamedTuple):
    """A paired difference (second minus first) with its interval and two-sided p value.

    Of one run, interval and p speak of its prompts alone.

    Attributes:
        n: prompts, the same of every run.
        seeds: runs.
        only_first, only_second: prompts where just one of the two is a hit, over all runs.
        seeds_lower: runs whose own difference is below 0.
        p_flip: exact sign-flip test over runs; None of one run (see `harc.stats.significance.flip_signs`).
        never: whether the event occurs nowhere, or everywhere, on both sides, so that nothing can be told.
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
    p_flip: float | None
    never: bool

    def find_detectable(self, confidence: float, power: float = POWER) -> float:
        """The smallest difference that this comparison would show with the given power; NaN where it is above 1."""
        found = detectable_effect(self.standard_error, self.degrees, confidence=confidence, power=power)
        return found if found <= 1 else math.nan


COLUMNS = ("run", "stratum", "suite", "prompt", "goal", "template", "first", "second")


def make_pairs(first: Sequence[float], second: Sequence[float]) -> pd.DataFrame:
    """Pairs of one suite and run that are independent."""
    count = range(len(first))
    return pd.DataFrame(
        dict(zip(COLUMNS, (0, "", "", count, count, "", list(first), list(second)), strict=True))
    )


class Arranged(NamedTuple):
    """Outcomes of both on the prompts that every run has in all its strata: members (a run in a stratum) by prompt."""

    first: Float[np.ndarray, "members prompts"]
    second: Float[np.ndarray, "members prompts"]
    runs: Int[np.ndarray, " members"]
    strata: Int[np.ndarray, " members"]
    prompts: Prompts

    def list_runs(self) -> Runs:
        """Differences by run; one that has several strata is one draw, their mean."""
        values = self.second - self.first
        count = self.runs.max() + 1
        if count == len(values):
            return Runs(values, self.strata)
        means = np.stack([values[self.runs == own].mean(0) for own in range(count)])
        return Runs(means, np.zeros(count, dtype=int))


def _number(column: pd.Series | np.ndarray) -> Int[np.ndarray, " rows"]:
    """Codes from 0, in the order of first occurrence."""
    return pd.factorize(column)[0]


def arrange_pairs(pairs: pd.DataFrame) -> Arranged | None:
    """Pairs as matrices; None where nothing of some suite is left."""
    run, stratum, suite = (_number(pairs[name]) for name in ("run", "stratum", "suite"))
    member = _number(run * (stratum.max() + 1) + stratum)
    named = _number(pairs["prompt"])
    place = _number(suite * (named.max() + 1) + named)
    members = member.max() + 1
    kept = (np.bincount(place) == members)[place]
    if len(np.unique(suite[kept])) <= suite.max():
        return None
    order = np.flatnonzero(kept)[np.lexsort((member[kept], place[kept]))]
    each, template = order[::members], pairs["template"].to_numpy(object)
    wording = np.where(template == "", pairs["suite"].to_numpy(object), template)
    shared = (suite, pairs["goal"].to_numpy(object), wording)
    first, second = (
        pairs[name].to_numpy(float)[order].reshape(-1, members).T for name in ("first", "second")
    )
    return Arranged(
        first,
        second,
        run[order[:members]],
        stratum[order[:members]],
        Prompts(*(_number(part[each]) for part in shared)),
    )


def estimate_difference(pairs: pd.DataFrame, confidence: float = 0.95) -> Difference | None:
    """Second minus first on the prompts that every run answered; None unless some of every suite are left.

    Args:
        pairs: a row a run and prompt: `run`, its `stratum`, `suite`, `prompt`, `goal`, `template` (empty: as the suite
            words it), and the outcomes `first` and `second` (0 or 1). Prompts of one goal, or of one template, are not
            independent. A run with several strata is one draw: a seed that several backbones share.
        confidence: coverage of the interval.

    Returns:
        The difference. That of one run is over its prompts alone: with a normal interval and, of one suite, McNemar's
        exact p, where they share nothing.
    """
    held = arrange_pairs(pairs)
    if held is None:
        return None
    runs, prompts = held.list_runs(), held.prompts
    variance, count = find_variance(runs, prompts), len(runs.values)
    spread, added = PAIR_PSEUDO
    prior = (spread / ((prompts.sizes + added) * len(prompts.sizes)) ** 2).sum() / count
    means = runs.values @ prompts.shares[prompts.suites]
    pooled = Pooled(float(runs.weights @ means), math.sqrt(variance.variance + prior), variance.degrees)
    only_first, only_second = int((held.first > held.second).sum()), int((held.second > held.first).sum())
    exact = count == 1 and len(prompts.sizes) == 1 and math.isinf(variance.degrees)
    return Difference(
        *pooled.interval(confidence).clip(-1.0, 1.0),
        mcnemar_exact(only_first, only_second) if exact else pooled.test(),
        pooled.standard_error,
        pooled.degrees,
        len(prompts.suites),
        count,
        only_first,
        only_second,
        int((means < -1e-12).sum()),
        flip_signs(means) if runs.degrees else None,
        bool((held.first == held.first[0, 0]).all() and (held.second == held.first[0, 0]).all()),
    )
