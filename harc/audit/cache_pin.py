"""The pin of pushed results, a small JSON file that says which objects of a remote are which tree; pulls against it.

What a pull is to bring is checked before anything is written, and what it brought before it takes the old tree's place.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harc.audit.sidecars import Sidecar, hash_tree
from harc.audit.tree import read_tree
from harc.core.errors import ArtifactError, DataError
from harc.core.files import read_json, sha256_file, write_json
from harc.core.listings import place_listing
from harc.core.tree_files import UNTRACKED, walk_files

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
