"""Attack success by category of harm, from outcomes alone."""

from collections.abc import Sequence
from typing import NamedTuple

from harc.results.outcomes import Outcome, select_suites

ALL = "all goals"


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
    return words[0] if len(words) == 2 else ALL


def list_categories(outcomes: Sequence[Outcome], suites: Sequence[str]) -> list[str]:
    """Categories of the suites' goals, the most frequent first, then by name."""
    counts: dict[str, int] = {}
    for outcome in select_suites(outcomes, suites):
        category = name_category(outcome.goal)
        counts[category] = counts.get(category, 0) + 1
    return sorted(counts, key=lambda category: (-counts[category], category))


def tabulate_categories(
    outcomes: Sequence[Outcome], suites: Sequence[str], categories: Sequence[str]
) -> list[list[Cell]]:
    """A row per suite and a cell per category; outcomes of several seeds add up."""
    table = []
    for suite in suites:
        own = select_suites(outcomes, [suite])
        row = []
        for category in categories:
            labels = [outcome.label for outcome in own if name_category(outcome.goal) == category]
            row.append(Cell(labels.count("correct"), len(labels)))
        table.append(row)
    return table
