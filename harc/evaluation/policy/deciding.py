"""Decisions of one layer on the prompts of a run, kept as they come in the run's folder."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.files import sha256_text
from harc.core.finished import KeyedStore, describe_work
from harc.core.terminal import track
from harc.evaluation.own.answers import choose_text
from harc.evaluation.policy.base import Decision, Item, Layer

STOP_AFTER = 5
"""Prompts in turn without a decision after which a layer is not asked any more; own choice."""
KEPT_AT_ONCE, KEPT_EVERY = 256, 5.0
"""Decisions, and seconds, after which what was decided is written down: what a kill can lose."""
SILENT = Decision(None, reason=f"not asked, after {STOP_AFTER} prompts in turn without a decision")
FOLDER = "policy"
DECIDING = ("harc.evaluation.policy.registry:read_layers", "harc.evaluation.policy.deciding:make_item")
"""Where the code begins that decisions depend on."""


def make_item(record: Mapping[str, Any], recorded: str = "") -> Item:
    """A generation record as layers see it: the text of all user turns, and the answer as judges read it."""
    turns = [message for message in record["messages"] if message["role"] == "user"]
    texts = [text for message in turns if isinstance(text := message.get("content"), str)]
    return Item(
        record["suite"],
        record["id"],
        "\n\n".join(texts),
        choose_text(dict(record)),
        record["messages"],
        recorded,
    )


def decide_records(layer: Layer, items: Sequence[Item], folder: Path) -> tuple[list[Decision], int]:
    """One decision per item, and how many were taken over from an earlier run.

    A layer that fails on STOP_AFTER prompts in turn is left alone: the others are undecided too, and are asked again
    by the next run, as all that are undecided.

    Args:
        layer: of any kind.
        items: of all suites.
        folder: of the run.

    Raises:
        HarcError: see `Layer.decide`; decisions that came before are kept.
    """
    work = describe_work(DECIDING, layer=layer.describe())
    store = KeyedStore(folder / FOLDER / f"{layer.name}.jsonl", work)
    keys = [_make_key(layer, item) for item in items]
    known: list[Decision | None] = [_load(store, key) for key in keys]
    due = [place for place, decision in enumerate(known) if decision is None]
    failed, saved = 0, time.monotonic()
    pending: dict[str, list[Any]] = {}
    try:
        with track(len(due), f"layer {layer.name}") as bar:
            for start in range(0, len(due), layer.at_once):
                if failed >= STOP_AFTER:
                    break
                part = due[start : start + layer.at_once]
                found = layer.decide([items[place] for place in part])
                for place, decision in zip(part, found, strict=True):
                    known[place] = decision
                    failed = failed + 1 if decision.block is None else 0
                    if decision.block is not None:
                        pending[keys[place]] = list(decision)
                if pending and (len(pending) >= KEPT_AT_ONCE or time.monotonic() - saved > KEPT_EVERY):
                    store.save_all(pending)
                    pending, saved = {}, time.monotonic()
                bar.advance(len(part))
    finally:
        layer.close()
        if pending:
            store.save_all(pending)
    return [decision or SILENT for decision in known], len(items) - len(due)


def _make_key(layer: Layer, item: Item) -> str:
    seen = (
        [item.prompt, item.recorded] if layer.where == "prompt" else [item.prompt, item.recorded, item.answer]
    )
    return f"{item.suite} {item.id} {sha256_text(json.dumps(seen))}"


def _load(store: KeyedStore, key: str) -> Decision | None:
    kept = store.load(key)
    return None if kept is None else Decision(*kept)
