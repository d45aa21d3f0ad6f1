"""The pin of pushed results: a small JSON file that says which objects of a remote are which tree."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.files import read_json, write_json

FORMAT = 1
FIELDS = {"format", "profile", "root_hash", "git_commit", "tree", "records"}
ENTRY_FIELDS = {"md5", "size", "nfiles", "hash"}
PIN_FOLDER = Path("config/results")


@dataclass(frozen=True)
class Pin:
    """What was pushed.

    Attributes:
        profile: the profile's name, as in results/<profile>.
        root_hash: of the tree; what is pulled must have the same.
        git_commit: of the project that pushed.
        tree: DVC's entry of the folder of artifacts (md5, size, nfiles).
        records: DVC's entry of the file of the workflow's records.
    """

    profile: str
    root_hash: str
    git_commit: str | None
    tree: dict[str, Any]
    records: dict[str, Any]


def default_pin(profile: str) -> Path:
    """Where a profile's pin lies unless another place is named; small enough to commit."""
    return PIN_FOLDER / f"{profile}.json"


def write_pin(pin: Pin, path: Path) -> None:
    """Write a pin."""
    write_json(path, {"format": FORMAT, **asdict(pin)})


def _fits(pattern: str, value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _find_fault(values: Any) -> str | None:
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        return "something else"
    if values.keys() != FIELDS:
        return f"fields {', '.join(sorted(values.keys() ^ FIELDS))} missing or unknown"
    entries = {"tree": r"[0-9a-f]{32}\.dir", "records": r"[0-9a-f]{32}"}
    faults = [_find_entry_fault(name, values[name], pattern) for name, pattern in entries.items()]
    if not _fits(r"[0-9a-f]{64}", values["root_hash"]):
        faults.append("no root hash")
    if not isinstance(values["profile"], str) or not isinstance(values["git_commit"], str | None):
        faults.append("no name of a profile, or no commit")
    return next((fault for fault in faults if fault), None)


def _find_entry_fault(name: str, entry: Any, pattern: str) -> str | None:
    if not isinstance(entry, dict) or not _fits(pattern, entry.get("md5")):
        return f"no MD5 of {name}"
    # Other fields (remote, cloud, files, ...) would have DVC read or write what no listing says.
    if surplus := entry.keys() - ENTRY_FIELDS:
        return f"the field {min(surplus)} of {name}"
    needed = ("size", "nfiles") if name == "tree" else ("size",)
    if not all(type(entry.get(field)) is int and entry[field] >= 0 for field in needed):
        return f"no {' or '.join(needed)} of {name}"
    return f"another hash of {name} than md5" if entry.get("hash", "md5") != "md5" else None


def read_pin(path: Path) -> Pin:
    """Read a pin.

    Raises:
        DataError: if it is missing, of another format, or has unknown or missing fields.
    """
    values = read_json(path)
    fault = _find_fault(values)
    if fault is not None:
        raise DataError(
            str(path),
            expected=f"a pin of pushed results, format {FORMAT}",
            found=fault,
            fix="take the file that `harc cache push` wrote",
        )
    return Pin(**{name: value for name, value in values.items() if name != "format"})
