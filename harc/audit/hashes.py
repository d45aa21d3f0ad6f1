"""Files against the hashes that sidecars give: outputs as they were written, inputs as they were read.

Also inputs that nobody made, with which the chain of artifacts ends too early, and the root hash that a tree's paper
prints, against the one that its sidecars give.
"""

import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harc.audit.drift import Drift
from harc.audit.report import Finding
from harc.audit.sidecars import Sidecar, hash_tree, read_record, read_sidecar
from harc.audit.study import Study
from harc.core.artifacts import SIDECAR_SUFFIX
from harc.core.errors import ArtifactError, DataError, HarcError
from harc.core.files import sha256_file
from harc.core.provenance import is_strict_name
from harc.core.tree_files import UNTRACKED, scan_tree
from harc.steps.commands import parse_command
from harc.steps.reference import REFERENCE
from harc.steps.reference_pack import SIDECARS, open_tree

ROOT_HASH_FILE = "root_hash.json"


class Hasher:
    """SHA-256 of files, each read once."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        """Hash the given files at once, side by side; others when they are asked for."""
        paths = list(paths)
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            self.known: dict[Path, str | None] = dict(zip(paths, pool.map(self._hash, paths), strict=True))

    @staticmethod
    def _hash(path: Path) -> str | None:
        try:
            return sha256_file(path) if path.is_file() else None
        except OSError as problem:
            return f"unknown: {os.strerror(problem.errno or 0)}"

    def __call__(self, path: Path) -> str | None:
        """The digest; None for what is no file, and the reason for a file that cannot be read."""
        if path not in self.known:
            self.known[path] = self._hash(path)
        return self.known[path]


def check_outputs(sidecar: Sidecar, hash_of: Hasher, study: Study, drift: Drift) -> list[Finding]:
    """Outputs that are missing or are not what was written; what a committed study leaves out is counted alone."""
    findings = []
    for name, path in sidecar.outputs.items():
        expected, found = sidecar.record["outputs"][name], hash_of(path)
        if found is None and name in study.left_out:
            drift.left_out.add(name)
        elif found is None:
            findings.append(
                Finding(str(path), "missing", f"a file with sha256 {expected}", "none", sidecar.repair)
            )
        elif found != expected and name in study.left_out and name.startswith("project://"):
            drift.files.add(name)
        elif found != expected:
            findings.append(
                Finding(str(path), "changed", f"sha256 {expected}", f"sha256 {found}", sidecar.repair)
            )
    return findings


def check_inputs(
    sidecar: Sidecar, hash_of: Hasher, made: dict[Path, str], study: Study, drift: Drift
) -> list[Finding]:
    """Inputs that are not what they were; damage to another step's output is that step's finding alone."""
    findings = []
    for name, path in sidecar.inputs.items():
        if not is_strict_name(name):
            continue  # not opened, wherever it leads: `unlinked` says so
        expected, found = sidecar.record["inputs"][name], hash_of(path)
        if found == expected or (path in made and made[path] == expected):
            continue
        versions = study.machines.get(name, {})
        if {expected, made.get(path)} <= versions.keys():
            drift.answers[name, expected, made[path]] += 1
            continue
        if study.kept and name.startswith("project://") and path not in made:
            drift.files.add(name)
            continue
        findings.append(
            Finding(
                str(sidecar.artifact),
                "input changed",
                f"made from {name} with sha256 {expected}",
                "no such file" if found is None else f"{name} with sha256 {found}",
                f"{sidecar.repair} again, and what follows from it",
            )
        )
    return findings


def list_committed(project: Path) -> set[Path] | None:
    """Files of a folder that git tracks or would track, ignored ones left out; None where git has nothing to say."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=project,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {project / name for name in done.stdout.split("\0") if name} or None


def find_unlinked_inputs(sidecars: list[Sidecar], made: set[Path], project: Path) -> list[Finding]:
    """Inputs with which the chain ends too early: no sidecar made them, and they are no file of the project.

    Args:
        sidecars: all readable ones.
        made: every output that one of them names.
        project: the repository's root.
    """
    committed = list_committed(project)
    findings = []
    for sidecar in sidecars:
        for name, path in sidecar.inputs.items():
            if path in made:
                continue
            outside = "://" not in name
            in_tree = name.startswith("results://")
            if outside or in_tree or (committed is not None and path not in committed):
                where = "outside project and results" if outside else "of unknown origin"
                findings.append(
                    Finding(
                        str(sidecar.artifact),
                        "unlinked",
                        f"{name} to be an artifact with a sidecar, or a file of the project",
                        f"a file {where}",
                        f"run the step that makes it; then {sidecar.repair}",
                    )
                )
    return findings


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
