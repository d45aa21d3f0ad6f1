"""Finished parts of a long step, kept until its end so that a kill loses one part at most."""

from pathlib import Path
from typing import Any

from harc.errors import DataError
from harc.files import read_json, write_json


def load_finished(file: Path, key: str) -> Any | None:
    """What `save_finished` wrote under the same key, else None."""
    try:
        found = read_json(file)
    except DataError:
        return None
    return found["value"] if isinstance(found, dict) and found.get("key") == key else None


def save_finished(file: Path, key: str, value: Any) -> None:
    """Keep a finished part.

    Args:
        file: where.
        key: hash of everything that the part depends on.
        value: JSON values.
    """
    write_json(file, {"key": key, "value": value})
