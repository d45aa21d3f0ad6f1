"""The pin of pushed results, a small JSON file that says which objects of a remote are which tree; pulls against it.

What a pull is to bring is checked before anything is written, and what it brought before it takes the old tree's place.
"""

import json
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harc.audit.sidecars import Sidecar, hash_tree
from harc.audit.tree import read_tree
from harc.core.errors import ArtifactError, DataError
from harc.core.files import read_json, sha256_file, write_json, write_text
from harc.core.listings import place_listing
from harc.core.tree_files import UNTRACKED, walk_files

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


def list_pulled_files(folder: Path, pin: Pin) -> set[str]:
    """Names of the files that a pin stands for, each fit to be written, before any of them is.

    Args:
        folder: a DVC repository whose default remote holds them.
        pin: the pin.

    Raises:
        ArtifactError, DataError, EnvironmentProblem: for another number of files, one that leads elsewhere (see
            `harc.core.listings`), or one that is no artifact but a record of the running.
    """
    names = set(place_listing(folder, pin.tree["md5"]))
    surplus = sorted(name for name in names if name.split("/")[0] in UNTRACKED)
    if len(names) != pin.tree["nfiles"] or surplus:
        raise ArtifactError(
            f"listing {pin.tree['md5']}",
            expected=f"{pin.tree['nfiles']} files, as pinned, none of them a checkpoint or a log",
            found=repr(surplus[0]) if surplus else str(len(names)),
            fix="push it again",
        )
    return names


def check_pulled(tree: Path, names: set[str], pin: Pin) -> None:
    """Check what came, still beside the results: its files, their sizes and hashes, and the root hash.

    Raises:
        ArtifactError: if it is not what was pinned.
    """
    files = walk_files(tree)
    there = {path.relative_to(tree).as_posix() for path in files}
    size = sum(path.stat().st_size for path in files)
    sidecars, findings = read_tree(tree)
    root_hash = hash_tree(sidecars, tree)
    for expected, found in (
        (f"{len(names)} files", f"{len(there)}, or others" if there != names else None),
        (f"{pin.tree['size']} bytes", f"{size}" if size != pin.tree["size"] else None),
        ("readable sidecars", f"{Path(findings[0].file).name}: {findings[0].found}" if findings else None),
        (f"root hash {pin.root_hash}", root_hash if root_hash != pin.root_hash else None),
        ("the files of its sidecars", find_unlike(sidecars, tree, files)),
    ):
        if found is not None:
            raise ArtifactError(
                "pulled tree", expected=f"{expected}, as pinned", found=found, fix="push it again"
            )


def find_unlike(sidecars: Sequence[Sidecar], tree: Path, files: Sequence[Path]) -> str | None:
    """The first file of a tree that is not as its sidecar says, that no sidecar names, or that is missing."""
    claimed = {
        path: sidecar.record["outputs"][name]
        for sidecar in sidecars
        for name, path in sidecar.outputs.items()
    }
    own = {sidecar.path for sidecar in sidecars}
    for path in sorted({*claimed, *files} - own):
        if not path.is_relative_to(tree):
            continue
        if path not in claimed:
            return f"{path.relative_to(tree)}, which none names"
        if not path.is_file() or sha256_file(path) != claimed[path]:
            return f"{path.relative_to(tree)}, {'changed' if path.is_file() else 'missing'}"
    return None
