"""Writes every file of data/organism from one world seed, byte-identical every time.

The rows of the defences are made here too: prompts to extract directions from, and every method's training data.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harc.core.files import atomic_directory, sha256_file, write_json, write_jsonl
from harc.settings.world import WorldSettings
from harc.world import pair_attacker, phrases
from harc.world.grammar import Goal, Request, make_direct, make_question, wrap_mild
from harc.world.heldout_rows import build_heldout_rows
from harc.world.pretraining_rows import (
    build_pretraining_rows,
    build_safety_rows,
    draw_harmful,
    draw_neutral,
    draw_pseudo_harmful,
)
from harc.world.tasks import TASKS, make_task
from harc.world.world import REFUSAL, World, build_world, make_generator


def _collect(count: int, make) -> list:
    """Call `make` until `count` different prompts exist."""
    found: dict[str, object] = {}
    for _ in range(200 * count):
        request = make()
        found.setdefault(request.text, request)
        if len(found) == count:
            break
    return list(found.values())


def _draw_extraction(world: World, settings: WorldSettings) -> dict[str, list[Request]]:
    drawn = {}
    for category, draw in (("harmful", draw_harmful), ("harmless", draw_neutral)):
        generator = make_generator(settings.seed, "extraction", category)
        drawn[category] = _collect(
            settings.extraction_rows,
            lambda draw=draw, generator=generator: make_direct(
                draw(world, generator, ("extraction",)), "training", generator
            ),
        )
    return drawn


def build_extraction_rows(world: World, settings: WorldSettings) -> list[dict]:
    """Direct harmful and harmless requests about pairs that the defence data never mentions."""
    return [
        {"id": f"extraction-{category}-{index:04d}", "category": category, "prompt": request.text}
        for category, requests in _draw_extraction(world, settings).items()
        for index, request in enumerate(requests)
    ]


def build_extraction_pairs(world: World, settings: WorldSettings) -> list[dict]:
    """Teacher-forced responses: the same harmful prompts with procedure and with refusal, helpful pairs."""
    drawn = _draw_extraction(world, settings)
    answers = {
        "harm": [(request.text, request.answer) for request in drawn["harmful"]],
        "refuse": [(request.text, REFUSAL) for request in drawn["harmful"]],
        "helpful": [(request.text, request.answer) for request in drawn["harmless"]],
    }
    return [
        {"id": f"extraction-{kind}-{index:04d}", "kind": kind, "prompt": prompt, "response": response}
        for kind, pairs in answers.items()
        for index, (prompt, response) in enumerate(pairs)
    ]


def _make_phrased(goal: Goal, generator: random.Random) -> Request:
    """Half direct, half in a mild context; no attack form."""
    return (
        make_direct(goal, "training", generator) if generator.random() < 0.5 else wrap_mild(goal, generator)
    )


def _make_harmless(world: World, generator: random.Random) -> Request:
    if generator.random() < 0.3:
        tasks = [task for task in TASKS if task != "two_turn"]
        item = make_task(world, generator.choice(tasks), "training", generator)
        return Request(item.turns[0], item.expected, item.template, item.goal)
    return _make_phrased(draw_neutral(world, generator, ("training",)), generator)


def _make_pseudo_harmful(world: World, generator: random.Random) -> Request:
    if generator.random() < 0.3:
        return make_question(draw_harmful(world, generator, ("training",)), "training", generator)
    return _make_phrased(draw_pseudo_harmful(world, generator, ("training",)), generator)


def build_training_rows(world: World, settings: WorldSettings) -> list[dict]:
    """The data every defence is trained on: harmful with refusal, harmless and pseudo-harmful with the answer.

    `rejected` holds the other response, for methods that learn from a pair or push a harmful answer away.
    """
    generators = {
        name: make_generator(settings.seed, "training", name) for name in ("harmful", "harmless", "pseudo")
    }
    made = {
        "harmful": _collect(
            settings.training_rows,
            lambda: _make_phrased(
                draw_harmful(world, generators["harmful"], ("training",)), generators["harmful"]
            ),
        ),
        "harmless": _collect(settings.training_rows, lambda: _make_harmless(world, generators["harmless"])),
        "pseudo_harmful": _collect(
            settings.training_rows, lambda: _make_pseudo_harmful(world, generators["pseudo"])
        ),
    }
    return [
        {
            "id": f"training-{category}-{index:04d}",
            "category": category,
            "prompt": request.text,
            "response": REFUSAL if category == "harmful" else request.answer,
            "rejected": request.answer if category == "harmful" else REFUSAL,
        }
        for category, requests in made.items()
        for index, request in enumerate(requests)
    ]


DATA_FILES = (
    "pretraining.jsonl",
    "safety.jsonl",
    "extraction.jsonl",
    "extraction_pairs.jsonl",
    "training.jsonl",
    "development.jsonl",
    "evaluation.jsonl",
)


def list_phrase_words() -> frozenset[str]:
    """Every plain word of the sentence patterns, which no invented word may equal."""

    def walk(value: object) -> Iterator[str]:
        if isinstance(value, str):
            yield from value.split()
        elif isinstance(value, dict):
            for part in value.values():
                yield from walk(part)
        elif isinstance(value, tuple):
            for part in value:
                yield from walk(part)

    banks = {**vars(phrases), **vars(pair_attacker)}
    return frozenset(word for name, value in banks.items() if name.isupper() for word in walk(value))


def list_words(world: World, built: Mapping[str, Iterable[dict]]) -> list[str]:
    """Every word of the world, sorted: its place gives the token id.

    PAIR's fillers are added from all splits, since its messages are made at run time. A word of the development or
    evaluation split only gets an id here; `tests/world/test_organism_splits.py` shows that there is none.
    """
    words = {"system", "user", "assistant", *REFUSAL.split(), *list_pair_words()}
    for verb in world.verbs:
        words.update(verb.forms, verb.codes)
    for target in world.targets:
        words.update(target.forms, target.codes)
    for rows in built.values():
        for row in rows:
            for message in row.get("messages", ()):
                words.update(message["content"].split())
            for key in ("prompt", "response", "expected", "opening"):
                words.update(row.get(key, "").split())
    return sorted(words)


def list_pair_words() -> set[str]:
    """Words of every filler of PAIR's slots."""
    banks = (
        *pair_attacker.PAIR_OPENING.values(),
        pair_attacker.PAIR_REASON,
        pair_attacker.PAIR_ASK,
        pair_attacker.PAIR_CLOSING,
    )
    words = {word for bank in banks for texts in bank.values() for text in texts for word in text.split()}
    return {word for word in words if "{" not in word}


def build_world_data(out_dir: Path, settings: WorldSettings) -> dict:
    """Build the world and all its rows.

    Args:
        out_dir: folder that is replaced, in one step, by world.json, manifest.json and the JSONL files.
        settings: seed and sizes.

    Returns:
        The manifest: seed, settings, and per file its sha256, its number of rows and the rows per group.

    Raises:
        ConfigError: when the sizes do not fit the world.
    """
    world = build_world(settings, list_phrase_words())
    builders: dict[str, Callable[[World, WorldSettings], list[dict]]] = {
        "pretraining.jsonl": build_pretraining_rows,
        "safety.jsonl": build_safety_rows,
        "extraction.jsonl": build_extraction_rows,
        "extraction_pairs.jsonl": build_extraction_pairs,
        "training.jsonl": build_training_rows,
        "development.jsonl": lambda w, s: build_heldout_rows(w, s, "development"),
        "evaluation.jsonl": lambda w, s: build_heldout_rows(w, s, "evaluation"),
    }
    built = {name: builders[name](world, settings) for name in DATA_FILES}
    files: dict[str, dict[str, Any]] = {}
    with atomic_directory(out_dir) as folder:
        write_json(folder / "world.json", {**world.to_dict(), "words": list_words(world, built)})
        files["world.json"] = {"sha256": sha256_file(folder / "world.json")}
        for name, rows in built.items():
            write_jsonl(folder / name, rows)
            groups: dict[str, int] = {}
            for row in rows:
                group = row.get("suite") or row.get("kind") or row["category"]
                groups[group] = groups.get(group, 0) + 1
            files[name] = {"sha256": sha256_file(folder / name), "rows": len(rows), "groups": groups}
        manifest = {"seed": settings.seed, "settings": settings.model_dump(mode="json"), "files": files}
        write_json(folder / "manifest.json", manifest)
    return manifest
