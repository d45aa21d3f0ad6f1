"""Steps over a whole tree: seal_results writes the root hash, which the paper prints; audit checks every artifact."""

from pathlib import Path

from harc.core.artifacts import KEPT_FILE, SIDECAR_SUFFIX, is_rendering
from harc.steps.job import Job, Resources, Step


def select_artifacts(job: Job) -> dict:
    """What the study must hold: with it in the sidecar the tree itself says when something is missing."""
    from harc.steps.files import list_expected_sidecars

    root = job.layout.root
    found = [path for path in list_expected_sidecars(job.profile, job.layout) if path.is_relative_to(root)]
    names = [path.relative_to(root).as_posix().removesuffix(SIDECAR_SUFFIX) for path in found]
    made = [name for name in names if job.layout.reference is None or is_rendering(name)]
    return {"artifacts": sorted(made)}


def list_sealed(job: Job) -> list[Path]:
    """The sidecar of every artifact of the profile, or of the committed study, but renderings."""
    from harc.core.tree_files import UNTRACKED, walk_files
    from harc.steps.files import list_expected_sidecars

    root = job.layout.runs
    if job.layout.reference is None:
        found = list_expected_sidecars(job.profile, job.layout)
    else:
        there = walk_files(root) if root.is_dir() else []  # a study may not be unpacked yet
        found = [path for path in there if path.name.endswith(SIDECAR_SUFFIX)]
    names = [path.relative_to(root).as_posix() for path in found]
    return [
        path
        for path, name in zip(found, names, strict=True)
        if not is_rendering(name) and name.split("/")[0] not in UNTRACKED
    ]


SEAL_RESULTS = Step(
    "seal_results",
    "harc.audit.step:run_seal_results",
    list_outputs=lambda job: [job.layout.root_hash],
    # Unrecorded: sidecars hold times, and a step that runs again and gives the same changes no root hash.
    list_unrecorded=list_sealed,
    select_settings=select_artifacts,
    of_study=True,
)


def list_unread_files(job: Job) -> list[Path]:
    """Every artifact's sidecar, and every file that no other step reads: a change of the others reruns those first."""
    from harc.steps.files import list_made, list_needed
    from harc.steps.registry import list_jobs

    jobs = [other for part in ("run", "end") for other in list_jobs(job.profile, job.layout, part)]
    others = [other for other in jobs if other.step != job.step]
    read = {path for other in others for path in list_needed(other)}
    made = [list_made(other) for other in others]
    unread = [
        path for *files, sidecar in made for path in (*files, sidecar) if path == sidecar or path not in read
    ]
    if not (job.layout.root / KEPT_FILE).is_file():
        return unread
    # What such a tree lacks lies on another machine: the audit says whether it may, and nothing is made again for it.
    done = {path for *files, sidecar in made if sidecar.is_file() for path in files}
    return [path for path in unread if path.exists() or path not in done]


def list_audited_code(job: Job) -> list[str]:
    """What figures say of their inputs, the tables, and the steps that are run again beside the tree."""
    from harc.results.catalogue import TABLES, locate_table
    from harc.steps.registry import STEPS

    figures = [f"harc.results.figures.{figure}" for figure in job.profile.figures]
    tables = [locate_table(name) for name in TABLES]
    return [*figures, *tables, *(step.code for step in STEPS.values() if step.pure)]


AUDIT = Step(
    "audit",
    "harc.audit.step:run_audit",
    list_outputs=lambda job: [job.layout.audit, job.layout.audit_page],
    # No inputs by name: the audit reads the whole tree.
    list_unrecorded=list_unread_files,
    list_plugins=list_audited_code,
    resources=Resources(1000),
    part="end",
)
