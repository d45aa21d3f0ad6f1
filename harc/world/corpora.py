"""Writes every file of data/organism from one world seed, byte-identical every time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from harc.core.files import atomic_directory, sha256_file, write_json, write_jsonl
from harc.settings.world import WorldSettings
from harc.world import pair_phrases, phrases
from harc.world.defence_rows import build_extraction_pairs, build_extraction_rows, build_training_rows
from harc.world.heldout_rows import build_heldout_rows
from harc.world.pretraining_rows import build_pretraining_rows, build_safety_rows
from harc.world.world import REFUSAL, World, build_world

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

    banks = {**vars(phrases), **vars(pair_phrases)}
    return frozenset(word for name, value in banks.items() if name.isupper() for word in walk(value))


def list_words(world: World, built: Mapping[str, Iterable[dict]]) -> list[str]:
    """Every word of the world, sorted: its place gives the token id.

    PAIR's fillers are added from all splits, since its messages are made at run time. A word of the development or
    evaluation split only gets an id here; `tests/world/test_organism_splits.py` shows that there is none.
    """
    words = {"system", "user", "assistant", *REFUSAL.split(), *list_pair_words()}
    for entry in (*world.verbs, *world.targets):
        words.update(entry.forms, entry.codes)
    for rows in built.values():
        for row in rows:
            for message in row.get("messages", ()):
                words.update(message["content"].split())
            for key in ("prompt", "response", "expected"):
                words.update(row.get(key, "").split())
    return sorted(words)


def list_pair_words() -> set[str]:
    """Words of every filler of PAIR's slots."""
    banks = (
        *pair_phrases.PAIR_OPENING.values(),
        pair_phrases.PAIR_REASON,
        pair_phrases.PAIR_ASK,
        pair_phrases.PAIR_CLOSING,
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
    files = {}
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
