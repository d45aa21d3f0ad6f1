"""Which rows make each micro-batch: endless shuffled passes over each category, resumable from a count."""

import random
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from harc.core.errors import DataError
from harc.training.batches import EncodedRow


@runtime_checkable
class Sampler(Protocol):
    """A resumable source of micro-batches."""

    drawn: int  # micro-batches so far

    def draw(self) -> list[EncodedRow]:
        """Rows of the next micro-batch."""

    def skip_to(self, drawn: int) -> None:
        """Go on as if `drawn` micro-batches had been drawn."""


class CategorySampler:
    """Draws fixed numbers of rows from each category.

    Each category has its own generator, seeded seed + 1, 2, 3 in the release's order, and is shuffled again,
    from the last order, at the start of each pass (category_iterator, main/data.py@c3565e5).
    """

    def __init__(self, rows: Sequence[EncodedRow], counts: Mapping[str, int], seed: int) -> None:
        self.drawn = 0  # micro-batches so far
        self._counts = dict(counts)
        self._pools = {name: [row for row in rows if row.category == name] for name in counts}
        self._generators = {name: random.Random(seed + place) for place, name in enumerate(counts, start=1)}
        self._places = {name: len(pool) for name, pool in self._pools.items()}
        for name, count in counts.items():
            if count and not self._pools[name]:
                raise DataError(
                    "training rows",
                    expected=f"rows of category {name}, of which a micro-batch takes {count}",
                    found="none",
                    fix=f"add such rows, or set batch.{name} to 0",
                )

    def draw(self) -> list[EncodedRow]:
        """Rows of the next micro-batch, category by category."""
        self.drawn += 1
        return [self._draw_row(name) for name, count in self._counts.items() for _ in range(count)]

    def _draw_row(self, name: str) -> EncodedRow:
        pool = self._pools[name]
        if self._places[name] == len(pool):
            self._generators[name].shuffle(pool)
            self._places[name] = 0
        self._places[name] += 1
        return pool[self._places[name] - 1]

    def skip_to(self, drawn: int) -> None:
        """Go on as if `drawn` micro-batches had been drawn."""
        while self.drawn < drawn:
            self.draw()
