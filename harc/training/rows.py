"""Which rows a method sees: leaked and held-out ones apart, extraction rows by kind."""

from collections.abc import Mapping, Sequence
from typing import Any

from harc.geometry.extraction import ResponsePairs
from harc.settings.training import MethodSettings

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
    names = ("harmful", "harmless")
    if validation_rows is not None:
        prompts = tuple(
            [row["prompt"] for row in validation_rows if row["category"] == name] for name in names
        )
        return list(rows), prompts
    kept, held = list(rows), {}
    for name in names:
        own = [row for row in rows if row["category"] == name]
        count = min(settings.held_out_rows, len(own) // 10)
        held[name] = own[len(own) - count :]
        gone = {id(row) for row in held[name]}
        kept = [row for row in kept if id(row) not in gone]
    return kept, tuple([row["prompt"] for row in held[name]] for name in names)


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
