"""Finished parts of long work, kept until its end so that a kill loses one part at most.

Whatever is resumable is kept in a `KeyedStore`; checkpoints of training, which are tensors, have own files. All
of it is known by `describe_work`: what another code, another release of a library or other inputs have made is never
taken up.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from harc.core.files import sha256_text
from harc.core.fingerprint import fingerprint_code
from harc.core.provenance import read_versions
from harc.core.terminal import show
from harc.core.untrusted import parse_json

KEPT = "kept.jsonl"
"""The store's file in a folder of a step or a run."""


def describe_work(code: Iterable[str], **parts: Any) -> dict[str, Any]:
    """Everything that unfinished work depends on, as JSON values.

    Args:
        code: where the code that does it begins, as for `fingerprint_code`; modules chosen at run time among them.
        parts: settings, seeds, hashes of inputs.
    """
    plain = {
        name: part.model_dump(mode="json") if hasattr(part, "model_dump") else part
        for name, part in parts.items()
    }
    found = {"code": fingerprint_code(code), "versions": read_versions(), **plain}
    return json.loads(json.dumps(found, sort_keys=True, default=dict))


def identify_work(code: Iterable[str], **parts: Any) -> str:
    """SHA-256 of `describe_work`."""
    return _hash(describe_work(code, **parts))


class KeyedStore:
    """Finished parts by name, in one file: whatever is resumable is kept here.

    A line holds the key of the work, the part's name, its value and their digest, and is on disk when `save` returns. A
    line that a kill or a full disk cut short is taken out by the next `save`; one that is damaged counts as not
    written, and is said to be so. Several processes may use one file.
    """

    def __init__(self, path: Path, work: Mapping[str, Any]) -> None:
        """Open a file, which need not be there.

        Args:
            path: the file; nothing is written yet.
            work: of `describe_work`; parts of other work are not seen, and are dropped by the first `save`.
        """
        self.path, self.key = path, _hash(work)
        self._places: dict[str, tuple[int, int]] = {}
        self._others = self._read_to = 0

    @property
    def holds_other_work(self) -> bool:
        """Whether there are parts in the file, and none of this work."""
        self._read_news()
        return bool(self._others and not self._places)

    def is_empty(self) -> bool:
        """Whether there is no part of any work."""
        self._read_news()
        return not (self._others or self._places)

    def load(self, name: str) -> Any | None:
        """The value last saved by that name, else None."""
        self._read_news()
        if name not in self._places:
            return None
        start, length = self._places[name]
        with open(self.path, "rb") as handle:
            handle.seek(start)
            entry = _read_line(handle.read(length))
        return entry["value"] if entry else None  # damaged since

    def save(self, name: str, value: Any) -> None:
        """Keep a part: JSON values."""
        self.save_all({name: value})

    def save_all(self, parts: Mapping[str, Any]) -> None:
        """Keep several parts, or none if there is no room for all."""
        lines = b"".join(self._make_line(name, value) for name, value in parts.items())
        if self.holds_other_work:
            self.remove()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b", buffering=0) as handle:  # a buffer would be written again on closing
            fcntl.flock(handle, fcntl.LOCK_EX)
            end = _find_end(handle)
            try:
                handle.truncate(end)
                while lines:
                    lines = lines[handle.write(lines) :]
                os.fsync(handle.fileno())
            except BaseException:
                with suppress(OSError):
                    handle.truncate(end)
                if not end:
                    self.path.unlink(missing_ok=True)
                raise
        self._read_news()

    def remove(self) -> None:
        """Drop every part, once what they are parts of is whole."""
        self.path.unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        self._places, self._others, self._read_to = {}, 0, 0

    def _make_line(self, name: str, value: Any) -> bytes:
        found = {"key": self.key, "name": name, "value": value}
        line = json.dumps(found | {"sha256": _hash(found)}, ensure_ascii=False, allow_nan=False)
        return f"{line}\n".encode()

    def _read_news(self) -> None:
        """Take in what was added since the last look."""
        size = self.path.stat().st_size if self.path.is_file() else 0
        if size < self._read_to:
            self._forget()
        if size == self._read_to:
            return
        damaged = 0
        with open(self.path, "rb") as handle:
            handle.seek(self._read_to)
            for line in handle:
                if not line.endswith(b"\n"):
                    break
                start, self._read_to = self._read_to, self._read_to + len(line)
                entry = _read_line(line)
                if entry is None:
                    damaged += 1
                elif entry["key"] == self.key:
                    self._places[entry["name"]] = (start, len(line))
                else:
                    self._others += 1
        if damaged:
            show(f"{self.path}: {damaged} damaged entries are left out, and made again", err=True)


def _hash(value: Any) -> str:
    return sha256_text(json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False))


def _read_line(line: bytes) -> dict[str, Any] | None:
    """An entry as it was written, else None."""
    try:
        entry = parse_json(line.decode())
        digest = entry.pop("sha256")
        return entry if {*entry} == {"key", "name", "value"} and digest == _hash(entry) else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _find_end(handle: IO[bytes]) -> int:
    """Where the last whole line of a file ends."""
    end = handle.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 65_536)
        handle.seek(start)
        place = handle.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0
