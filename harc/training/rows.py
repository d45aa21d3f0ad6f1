"""Which rows a method sees: leaked and held-out ones apart, extraction rows by kind; and in what order."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from harc.core.errors import DataError
from harc.geometry.extraction import ResponsePairs
from harc.settings.training import MethodSettings
from harc.training.batches import EncodedRow

Row = Mapping[str, Any]


def drop_leaked_rows(rows: Sequence[Row], settings: MethodSettings) -> tuple[list[Row], list[Row]]:
    """(kept, dropped): rows of XSTest, which measures over-refusal, go unless the leak is switched on."""
    leaked = [row for row in rows if row.get("source") == "xstest"]
    if settings.xstest_in_training or not leaked:
        return list(rows), []
    return [row for row in rows if row.get("source") != "xstest"], leaked


def hold_out_rows(
    rows: Sequence[Row], validation_rows: Sequence[Row] | None, settings: MethodSettings
) -> tuple[list[Row], tuple[list[str], list[str]]]:
    """(training rows, (harmful, harmless) prompts held out): the last of each, at most a tenth."""
    kept, held = list(rows), {}
    for name in ("harmful", "harmless"):
        if validation_rows is not None:
            held[name] = [row for row in validation_rows if row["category"] == name]
            continue
        own = [row for row in rows if row["category"] == name]
        count = min(settings.held_out_rows, len(own) // 10)
        held[name] = own[len(own) - count :]
        gone = {id(row) for row in held[name]}
        kept = [row for row in kept if id(row) not in gone]
    harmful, harmless = ([row["prompt"] for row in part] for part in held.values())
    return kept, (harmful, harmless)


def split_extraction(rows: Sequence[Row], pairs: Sequence[Row]) -> tuple[list[str], list[str], ResponsePairs]:
    """(harmful prompts, harmless prompts, pairs) of extraction rows."""
    prompts = {
        name: [row["prompt"] for row in rows if row["category"] == name] for name in ("harmful", "harmless")
    }
    kinds = {
        kind: [(row["prompt"], row["response"]) for row in pairs if row["kind"] == kind]
        for kind in ("harm", "refuse", "helpful")
    }
    return prompts["harmful"], prompts["harmless"], ResponsePairs(**kinds)


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
