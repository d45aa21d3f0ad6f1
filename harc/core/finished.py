"""Finished parts of long work, kept until its end so that a kill loses one part at most.

Whatever is resumable, checkpoints of training among it, is known by `identify_work`: what another code, another release
of a library or other inputs have made is never taken up.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.files import read_json, write_json
from harc.core.fingerprint import fingerprint_code
from harc.core.versions import read_versions


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
    return hashlib.sha256(json.dumps(describe_work(code, **parts), sort_keys=True).encode()).hexdigest()


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
        key: of `identify_work`.
        value: JSON values.
    """
    write_json(file, {"key": key, "value": value})
