"""Rates and paired differences on suites and means of suites: what of the outcomes the estimator gets to see."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from harc.judges.base import UNJUDGED, counts_as
from harc.results.outcomes import select_suites, share_states
from harc.results.vocabulary import OVER_REFUSAL
from harc.stats import contrasts
from harc.stats import rates as estimators
from harc.stats.contrasts import Difference
from harc.stats.intervals import wilson_interval
from harc.stats.rates import POWER, Rate

__all__ = ["POWER", "Difference", "Draw", "Rate", "estimate_difference", "estimate_rate"]

BySeed = Mapping[Any, pd.DataFrame]
"""Outcomes by seed, or by backbone and seed to pool over both."""
Draw = Literal["seed", "backbone"]
"""See `harc.settings.analysis`."""
ALL_GOALS = "all goals"


def estimate_rate(by_seed: BySeed, suites: Sequence[str], confidence: float = 0.95) -> Rate | None:
    """Rate of suites, or their mean, over all seeds; None where one was not run; see `harc.stats.rates`."""
    judged = [select_suites(outcomes, suites) for outcomes in by_seed.values()]
    judged = [outcomes for outcomes in judged if set(outcomes["suite"]) == set(suites)]
    if not judged:
        return None
    every = pd.concat([outcomes[outcomes["suite"].isin(suites)] for outcomes in by_seed.values()])
    return estimators.estimate_rate(judged, confidence)._replace(shares=share_states(every))


def _list_judged(outcomes: pd.DataFrame, suites: Sequence[str]) -> dict[str, np.ndarray]:
    """Judged outcomes of suites as arrays by column: a frame's own operations cost more than all that follows."""
    suite = outcomes["suite"].to_numpy(object)
    kept = np.isin(suite, suites) & ~outcomes[UNJUDGED].to_numpy(bool)
    names = ("id", "goal", "template", "hit")
    return {"suite": suite[kept], **{name: outcomes[name].to_numpy(object)[kept] for name in names}}


def pair_outcomes(first: BySeed, second: BySeed, suites: Sequence[str]) -> list[pd.DataFrame]:
    """The judged outcomes of both on the same prompts, a frame a key that both have; see `harc.stats.contrasts`."""
    pairs = []
    for key in first:
        if key not in second:
            continue
        own, other = (_list_judged(held[key], suites) for held in (second, first))
        hits = dict(zip(zip(other["suite"], other["id"], strict=True), other["hit"], strict=True))
        before = np.array(
            [hits.get(place, np.nan) for place in zip(own["suite"], own["id"], strict=True)], dtype=float
        )
        kept = ~np.isnan(before)
        if set(own["suite"][kept]) == set(suites):
            backbone, seed = key if isinstance(key, tuple) else ("", key)
            columns = {name: own[name][kept] for name in ("suite", "goal", "template")}
            pairs.append(
                pd.DataFrame(
                    {
                        "seed": str(seed),
                        "stratum": backbone,
                        "prompt": own["id"][kept],
                        "first": before[kept],
                        "second": own["hit"][kept].astype(float),
                        **columns,
                    }
                )
            )
    return pairs


def difference_of_pairs(
    pairs: Sequence[pd.DataFrame], confidence: float = 0.95, draw: Draw = "seed"
) -> Difference | None:
    """The difference of paired outcomes; None where there are none.

    Args:
        pairs: of `pair_outcomes`.
        confidence: coverage of the interval.
        draw: what one draw is where backbones are pooled: a seed with all of them, or each backbone with its seed.
    """
    if not pairs:
        return None
    frame = pd.concat(pairs, ignore_index=True)
    frame["run"] = frame["seed"] if draw == "seed" else frame["stratum"] + "/" + frame["seed"]
    return contrasts.estimate_difference(frame, confidence)


def estimate_difference(
    first: BySeed, second: BySeed, suites: Sequence[str], confidence: float = 0.95, draw: Draw = "seed"
) -> Difference | None:
    """Second minus first on the same prompts and seeds, or None where they share none; see `harc.stats.contrasts`."""
    return difference_of_pairs(pair_outcomes(first, second, suites), confidence, draw)


class Point(NamedTuple):
    """A rate after fine-tuning on some number of examples, its Wilson interval, prompts, and shares of SHARES."""

    examples: int
    rate: float
    low: float
    high: float
    n: int
    garbled: float = 0.0
    blocked: float = 0.0
    unjudged: float = 0.0
    cut: float = 0.0
    empty: float = 0.0


def trace_rates(answers: Mapping[int, pd.DataFrame], suite: str, confidence: float) -> list[Point]:
    """The suite's rate at every number of examples: refusals of safe prompts, elsewhere answers, also to plain
    harmful requests.
    """
    counted = "refused" if suite in OVER_REFUSAL else "correct"
    points = []
    for examples, outcomes in answers.items():
        judged = select_suites(outcomes, [suite])
        if n := len(judged):
            hits = sum(counts_as(label, counted) for label in judged["label"])
            shares = share_states(outcomes[outcomes["suite"] == suite])
            points.append(Point(examples, *wilson_interval(hits, n, confidence), n, *shares))
    return points


class Cell(NamedTuple):
    """Answered goals of a category under one attack, out of how many; 0 of 0 for an empty category."""

    hits: int
    n: int

    @property
    def rate(self) -> float | None:
        """Share answered; None for an empty category."""
        return self.hits / self.n if self.n else None


def name_category(goal: str) -> str:
    """What kind of harm a goal asks for: its verb where a goal is a verb and a target, else `all goals`."""
    words = goal.split()
    return words[0] if len(words) == 2 else ALL_GOALS


def list_categories(outcomes: pd.DataFrame, suites: Sequence[str]) -> list[str]:
    """Categories of the suites' goals, the most frequent first, then by name."""
    counts = select_suites(outcomes, suites)["goal"].map(name_category).value_counts()
    return sorted(counts.index, key=lambda category: (-counts[category], category))


def tabulate_categories(
    outcomes: pd.DataFrame, suites: Sequence[str], categories: Sequence[str]
) -> list[list[Cell]]:
    """A row per suite and a cell per category; outcomes of several seeds add up."""
    own = select_suites(outcomes, suites)
    groups = (own["label"] == "correct").groupby([own["suite"], own["goal"].map(name_category)])
    cells = {key: Cell(int(hits.sum()), len(hits)) for key, hits in groups}
    return [[cells.get((suite, category), Cell(0, 0)) for category in categories] for suite in suites]


def find_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Methods that no other beats in both coordinates (lower is better), from left to right."""
    kept = [
        name
        for name, (x, y) in points.items()
        if not any(u <= x and v <= y and (u, v) != (x, y) for u, v in points.values())
    ]
    return sorted(kept, key=lambda name: points[name])
