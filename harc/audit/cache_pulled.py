"""What a pull is to bring, before anything is written, and what it brought, before it takes the old tree's place."""

from collections.abc import Sequence
from pathlib import Path

from harc.audit.cache_pin import Pin
from harc.audit.sidecars import Sidecar, hash_tree
from harc.audit.tree import read_tree
from harc.core.errors import ArtifactError
from harc.core.files import sha256_file
from harc.core.listings import place_listing
from harc.core.tree_files import UNTRACKED, walk_files


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
