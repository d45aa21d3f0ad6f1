"""Step seal_results: the root hash of the results that the paper is made from, which the paper prints."""

from pathlib import Path

from harc.core.artifacts import SIDECAR_SUFFIX
from harc.core.errors import ArtifactError
from harc.steps.pipeline import STEPS, Job


def list_plugins(job: Job) -> list[str]:
    """Which artifacts there must be is what every step says of its outputs."""
    return [f"harc.steps.{step}:list_outputs" for step in STEPS]


def select_settings(job: Job) -> dict:
    """What the study must hold: with it in the sidecar the tree itself says when something is missing."""
    from harc.audit.sidecars import is_rendering
    from harc.audit.steps import list_expected_sidecars

    root = job.layout.root
    found = [path for path in list_expected_sidecars(job.profile, job.layout) if path.is_relative_to(root)]
    names = [path.relative_to(root).as_posix().removesuffix(SIDECAR_SUFFIX) for path in found]
    made = [name for name in names if job.layout.reference is None or is_rendering(name)]
    return {"artifacts": sorted(made)}


def list_inputs(job: Job) -> list[Path]:
    """None by name: sidecars hold times, and a step that runs again and gives the same changes no root hash."""
    return []


def list_unrecorded(job: Job) -> list[Path]:
    """The sidecars that must be there before: every artifact of the profile, or of the reference, but renderings."""
    from harc.audit.sidecars import is_rendering
    from harc.audit.steps import list_expected_sidecars
    from harc.core.tree_files import UNTRACKED, walk_files

    root = job.layout.runs
    if job.layout.reference is None:
        found = list_expected_sidecars(job.profile, job.layout)
    else:
        there = walk_files(root) if root.is_dir() else []
        found = [path for path in there if path.name.endswith(SIDECAR_SUFFIX)]
    names = [path.relative_to(root).as_posix() for path in found]
    return [
        path
        for path, name in zip(found, names, strict=True)
        if not is_rendering(name) and name.split("/")[0] not in UNTRACKED
    ]


def list_outputs(job: Job) -> list[Path]:
    """root_hash.json."""
    return [job.layout.root_hash]


def run(job: Job) -> None:
    """Write the root hash and the digest of each artifact that went into it.

    Raises:
        ArtifactError: if a sidecar is missing or cannot be read.
    """
    from harc.audit.sidecars import hash_claims, hash_tree
    from harc.audit.tree import read_tree
    from harc.core.files import write_json

    root = job.layout.runs
    sidecars, findings = read_tree(root, list_unrecorded(job))
    if findings:
        first = findings[0]
        raise ArtifactError(first.file, expected=first.expected, found=first.found, fix=first.repair)
    write_json(
        job.layout.root_hash,
        {"root_hash": hash_tree(sidecars, root), "artifacts": hash_claims(sidecars, root)},
    )
