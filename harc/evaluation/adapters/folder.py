"""The files of an adapter's folder as somebody else made it: which are there, which may be opened, and what they hold.

Nothing is opened that is no regular file within the folder: a link may lead to a device, a pipe holds its reader for
ever.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harc.core.artifacts import LORA_FILES
from harc.core.errors import ModelError
from harc.core.untrusted import replace_surrogates
from harc.evaluation.adapters.header import find_data, list_strict_entries
from harc.evaluation.adapters.layers import LayerUpdate, split_names
from harc.evaluation.adapters.numbers import Scan, scan_numbers
from harc.evaluation.adapters.settings import AdapterSettings, parse_adapter_settings
from harc.model.handle import BASE_RECORD
from harc.model.tensors import read_object
from harc.model.weights import find_adapter

CONFIG, TENSORS = LORA_FILES[:2]
CARD = "README.md"
TEMPLATE = "# Model Card for Model ID"
"""A line of the card that PEFT writes for somebody to fill in."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
"""Ends of names of pickles, which run code when they are loaded."""
MOST_FILES = 10_000
LONGEST_TEXT = 4 << 20  # bytes of a card or a licence
LONGEST_JSON = 32 << 20  # of a tokenizer; the largest published ones have some 20 MB

FILE, OUTSIDE, DANGLING, SPECIAL = "file", "a link out of the folder", "a link to nothing", "no regular file"


@dataclass(frozen=True)
class Entry:
    """One name in the folder: what it is, how large (bytes)."""

    kind: str
    size: int = 0


class Unreadable(Exception):
    """A part of an adapter that cannot be read, with why in one line."""


@dataclass(frozen=True)
class AdapterFolder:
    """An adapter's folder, whose parts are read when they are asked for.

    Attributes:
        path: the folder.
        name: as the user gave it.
        within: links may lead into this folder: the same one, or the hub's cache of the repository.
        revision: commit on the hub, where it came from there.
        above: the repository's own folder, whose card counts where the adapter's has none.
    """

    path: Path
    name: str
    within: Path
    revision: str | None = None
    above: Path | None = None

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """What lies in the folder by relative name; links are told, not followed."""
        found: dict[str, Entry] = {}
        for folder, inner, files in os.walk(self.path):
            inner[:] = sorted(name for name in inner if name != ".git")
            links = [name for name in inner if os.path.islink(os.path.join(folder, name))]
            for name in (*files, *links):
                path = Path(folder, name)
                found[replace_surrogates(path.relative_to(self.path).as_posix())] = self._describe(path)
                if len(found) > MOST_FILES:
                    return found
        return dict(sorted(found.items()))

    def _describe(self, path: Path) -> Entry:
        try:
            target = path.resolve(strict=True)
            if not target.is_relative_to(self.within.resolve()):
                return Entry(OUTSIDE)
            return Entry(FILE, target.stat().st_size) if target.is_file() else Entry(SPECIAL)
        except (OSError, RuntimeError):  # a circle of links, in some versions of Python
            return Entry(DANGLING)

    def find(self, name: str, longest: int | None = None) -> Path:
        """A file that may be opened.

        Raises:
            Unreadable: if there is none, or it has more bytes than `longest`.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise Unreadable(f"no {name}")
        if entry.kind != FILE:
            raise Unreadable(f"{name} is {entry.kind}")
        if longest is not None and entry.size > longest:
            raise Unreadable(f"{name} has {entry.size:,} bytes, more than {longest:,}")
        return self.path / name

    def read_text(self, name: str) -> str | None:
        """A text of the folder; None where there is none that may be read."""
        if name == CARD and name not in self.entries and self.above is not None:
            return AdapterFolder(self.above, self.name, self.within).read_text(name)
        try:
            return self.find(name, LONGEST_TEXT).read_text("utf-8", errors="replace")
        except (Unreadable, OSError):
            return None

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON object of the folder.

        Raises:
            Unreadable: with why it is none.
        """
        path = self.find(name, LONGEST_JSON)
        try:
            return read_object(path)
        except ModelError as problem:
            raise Unreadable(f"{name}: {problem.found}") from None

    @cached_property
    def config(self) -> dict[str, Any]:
        """adapter_config.json. Raises Unreadable."""
        return self.read_json(CONFIG)

    @cached_property
    def settings(self) -> AdapterSettings:
        """Its values, checked. Raises Unreadable."""
        try:
            return parse_adapter_settings(self.config)
        except ValueError as problem:
            raise Unreadable(f"{CONFIG}: {problem}") from None

    @cached_property
    def header(self) -> dict[str, dict[str, Any]]:
        """dtype, shape and data_offsets of every tensor. Raises Unreadable."""
        try:
            return list_strict_entries(self.find(TENSORS))
        except ValueError as problem:
            raise Unreadable(str(problem)) from None

    @cached_property
    def layers(self) -> dict[str, LayerUpdate]:
        """Updates by the layer that they change."""
        return split_names(self.header)[0]

    @cached_property
    def whole(self) -> list[str]:
        """Names of tensors that are no low-rank update: whole layers, biases, embeddings."""
        return split_names(self.header)[1]

    @cached_property
    def scans(self) -> Mapping[str, Scan]:
        """What the numbers of each tensor are like, read in blocks."""
        path = self.find(TENSORS)
        return scan_numbers(path, self.header, find_data(path))

    @cached_property
    def base_record(self) -> dict[str, Any] | None:
        """What this project's training recorded of the base; None where nothing is. Raises Unreadable."""
        return self.read_json(BASE_RECORD) if BASE_RECORD in self.entries else None


def open_adapter(name: str) -> AdapterFolder:
    """The folder of an adapter by its name.

    Args:
        name: a folder, or owner/name/folder@revision of a hub repository, fetched where need be.

    Raises:
        ModelError: if there is no such folder.
        EnvironmentProblem: if the hub does not give it.
    """
    path = Path(name)
    if not path.is_dir():
        path, found = find_adapter(name)
        repository = find_repository(path)
        root = repository / "snapshots" / str(found.get("revision"))
        _fetch_terms(str(found["source"]), str(found.get("revision")))
        return AdapterFolder(path, name, repository, found.get("revision"), None if root == path else root)
    if not any(path.iterdir()):
        raise ModelError(
            name, expected="the folder of an adapter", found="an empty folder", fix="check the path"
        )
    return AdapterFolder(path, name, find_repository(path))


def _fetch_terms(source: str, revision: str) -> None:
    """Fetch the card and the licence of a repository beside its adapter, where the hub can be reached."""
    from huggingface_hub import snapshot_download

    names = [f"*{name}" for name in (CARD, "LICENSE*", "NOTICE*")]
    with suppress(
        Exception
    ):  # the hub's library lets its transport's errors through; the checks say what is missing
        snapshot_download("/".join(source.split("/")[:2]), revision=revision, allow_patterns=names)


def find_repository(path: Path) -> Path:
    """The folder that links of another may lead into: in the hub's cache files are links into the repository's."""
    try:
        from huggingface_hub import constants
    except ModuleNotFoundError:  # checking needs no more than the core
        return path
    cache, whole = Path(constants.HF_HUB_CACHE).resolve(), path.resolve()
    if whole.is_relative_to(cache) and whole != cache:
        return cache / whole.relative_to(cache).parts[0]
    return path
