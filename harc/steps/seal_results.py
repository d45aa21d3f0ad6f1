"""Step seal_results: the root hash of everything that the paper is made from, which the paper prints."""

from pathlib import Path

from harc.artifacts import sidecar_path
from harc.errors import ArtifactError
from harc.pipeline import Job


def select_settings(job: Job) -> dict:
    """Nothing: the hash is of what is there."""
    return {}


def list_inputs(job: Job) -> list[Path]:
    """None by name: sidecars hold times, and a step that runs again and gives the same changes no root hash."""
    return []


def list_sealed(job: Job) -> list[Path]:
    """The sidecars that must be there before: every artifact of the profile but the renderings."""
    from harc.audit.sidecars import NOT_HASHED
    from harc.audit.steps import list_expected_sidecars

    left_out = {sidecar_path(job.layout.root / name) for name in NOT_HASHED}
    return [path for path in list_expected_sidecars(job.profile, job.layout) if path not in left_out]


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
    from harc.files import write_json

    root = job.layout.root
    sidecars, findings = read_tree(root, list_sealed(job))
    if findings:
        first = findings[0]
        raise ArtifactError(first.file, expected=first.expected, found=first.found, fix=first.repair)
    write_json(
        job.layout.root_hash,
        {"root_hash": hash_tree(sidecars, root), "artifacts": hash_claims(sidecars, root)},
    )
