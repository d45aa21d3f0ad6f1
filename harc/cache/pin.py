"""The pin of pushed results: a small JSON file that says which objects of a remote are which tree."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harc.errors import DataError
from harc.files import read_json, write_json

FORMAT = 1
FIELDS = {"format", "profile", "root_hash", "git_commit", "tree", "records"}
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


def _find_fault(values: Any) -> str | None:
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        return "something else"
    if values.keys() != FIELDS:
        return f"fields {', '.join(sorted(values.keys() ^ FIELDS))} missing or unknown"
    entries = {"tree": r"[0-9a-f]{32}\.dir", "records": r"[0-9a-f]{32}"}
    for name, pattern in entries.items():
        entry = values[name]
        if not isinstance(entry, dict) or not re.fullmatch(pattern, str(entry.get("md5"))):
            return f"no MD5 of {name}"
    if not re.fullmatch(r"[0-9a-f]{64}", str(values["root_hash"])):
        return "no root hash"
    return None


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
