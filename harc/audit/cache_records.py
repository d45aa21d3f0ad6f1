"""The workflow's own records of finished jobs, carried with the results that they are about.

Snakemake keeps, per output file, a JSON record of the job that wrote it: its parameters (for us the fingerprint of
code and settings), its list of inputs and the SHA-256 of each. With the records in place it decides for pulled files
as it does for its own: an input with a new date but the recorded content is no news, and changed code, settings or
inputs rerun the job. Without them it would have dates alone to go by, which say nothing after a copy. No date is set.
"""

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from harc.core.errors import ArtifactError
from harc.core.files import read_json, write_text

STATE = Path(".snakemake")
RECORDS, UNFINISHED, LOCKS = "metadata", "incomplete", "locks"
NEEDED = {"rule": str, "params": list, "input": list, "input_checksums": dict, "record_format_version": int}


def _place(folder: Path, target: str) -> Path:
    """Where Snakemake keeps the record of an output: its path in base64, cut at the longest allowed name."""
    longest = os.pathconf(folder, "PC_NAME_MAX") or 255
    encoded = urlsafe_b64encode(target.encode()).decode()
    parts = [encoded[start : start + longest - 1] for start in range(0, len(encoded), longest - 1)]
    return folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _target(folder: Path, record: Path) -> str | None:
    """The output that a record is about; None for a file that is no record."""
    encoded = "".join(part.removeprefix("@") for part in record.relative_to(folder).parts)
    try:
        return urlsafe_b64decode(encoded).decode()
    except ValueError:
        return None


def _is_below(target: str, folders: Sequence[Path]) -> bool:
    path = PurePosixPath(target)
    return (
        "\0" not in target
        and ".." not in path.parts
        and any(path.is_relative_to(folder.as_posix()) for folder in folders)
    )


def read_records(
    folders: list[Path], *, left_out: Sequence[Path] = (), state: Path = STATE
) -> Iterator[dict[str, Any]]:
    """Records of finished jobs whose outputs lie in `folders`, not in `left_out`: `target` and `record`."""
    folder = state / RECORDS
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
        target = _target(folder, path) if path.is_file() else None
        if target is None or not _is_below(target, folders) or _is_below(target, left_out):
            continue
        if not Path(target).is_file():
            continue
        record = read_json(path)
        if not record.get("incomplete"):
            found[target] = record
    for target, record in sorted(found.items()):
        yield {"target": target, "record": record}


def install_records(rows: list[dict[str, Any]], folders: list[Path], state: Path = STATE) -> int:
    """Put pulled records where Snakemake looks for them; the number put.

    Raises:
        ArtifactError: for a record of a file outside the given folders, or of another form.
    """
    folder = state / RECORDS
    for row in rows:
        target, record = str(row.get("target")), row.get("record")
        held = record if isinstance(record, dict) else {}
        missing = [name for name, kind in NEEDED.items() if not isinstance(held.get(name), kind)]
        if missing or not _is_below(target, folders):
            raise ArtifactError(
                f"record of {target}",
                expected=f"the fields {', '.join(NEEDED)}, for a file in {' or '.join(map(str, folders))}",
                found=f"no {missing[0]}" if missing else "a file elsewhere",
                fix="push the results again",
            )
    for needed in (
        folder,
        state / UNFINISHED,
    ):  # without the second, Snakemake takes the first for an old form
        needed.mkdir(parents=True, exist_ok=True)
    with _undone_on_failure([_place(folder, row["target"]) for row in rows]):
        for row in rows:
            write_text(_place(folder, row["target"]), json.dumps(row["record"]))
    return len(rows)


@contextmanager
def _undone_on_failure(paths: Sequence[Path]) -> Iterator[None]:
    """Give files back their bytes, or their absence, if the block fails half-way (a full disk)."""
    before = {path: path.read_bytes() if path.is_file() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, data in before.items():
            with suppress(OSError):
                if data is None:
                    path.unlink(missing_ok=True)
                elif path.read_bytes() != data:
                    path.write_bytes(data)
        raise


def stop_if_running(state: Path = STATE) -> None:
    """Refuse to change results under a running workflow.

    Raises:
        ArtifactError: if the workflow's folder is locked.
    """
    if any((state / LOCKS).glob("*")):
        raise ArtifactError(
            str(state / LOCKS),
            expected="no workflow running here",
            found="a lock",
            fix="wait for its end; `snakemake --unlock` removes the lock of a killed run",
        )
