"""The root hash that a tree's paper prints, against the one that its sidecars give."""

from pathlib import Path

from harc.audit.report import Finding
from harc.audit.sidecars import Sidecar, hash_tree, read_record, read_sidecar
from harc.core.artifacts import SIDECAR_SUFFIX
from harc.core.errors import ArtifactError, DataError, HarcError
from harc.core.tree_files import UNTRACKED, scan_tree
from harc.steps.pipeline import parse_command
from harc.steps.reference import REFERENCE
from harc.steps.reference_pack import SIDECARS, open_tree

ROOT_HASH_FILE = "root_hash.json"


def _find_study(sidecars: list[Sidecar], root: Path, project: Path) -> Path | None:
    """The committed study that a tree was made from, where its seal's command names one; it holds the results then."""
    for sidecar in sidecars:
        if sidecar.artifact == root / ROOT_HASH_FILE:
            try:
                name = parse_command(sidecar.command)[1].get("reference")
            except HarcError:
                return None
            return project / REFERENCE / name if name and name.isidentifier() else None
    return None


def hash_results(sidecars: list[Sidecar], root: Path, project: Path) -> str:
    """The root hash of a tree: of its own results, or of the committed study's that it renders.

    Args:
        sidecars: its readable ones.
        root: the tree.
        project: the repository's root.
    """
    study = _find_study(sidecars, root, project)
    if study is None:
        return hash_tree(sidecars, root)
    try:
        with open_tree(study, [SIDECARS]) as tree:
            paths = [path for path in scan_tree(tree, UNTRACKED).files if path.name.endswith(SIDECAR_SUFFIX)]
            read = (read_sidecar(path, tree, project)[0] for path in paths)
            return hash_tree([sidecar for sidecar in read if sidecar is not None], tree)
    except ArtifactError as problem:
        return f"unknown: {problem}"


def check_root_hash(path: Path, root_hash: str) -> list[Finding]:
    """The root hash that the paper was set with, against the one of the sidecars as they are."""
    try:
        stored = read_record(path)["root_hash"] if path.is_file() else root_hash
    except (DataError, OSError, KeyError, TypeError):
        stored = "none that can be read"
    if stored == root_hash:
        return []
    repair = (
        "run `harc step seal_results` with the tree's profile, and the steps that the other findings name"
    )
    return [
        Finding(str(path), "root hash", f"root hash {root_hash}, as the sidecars give", str(stored), repair)
    ]
