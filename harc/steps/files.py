"""The files of a job: what it reads, what makes it stale, what must be there before it starts, what it leaves."""

from collections.abc import Iterable
from pathlib import Path

from harc.core.artifacts import Layout, sidecar_path
from harc.settings.profile import Profile
from harc.steps.job import Job
from harc.steps.reference import locate_stamp
from harc.steps.registry import STEPS, list_jobs


def list_read(job: Job) -> list[Path]:
    """Files that a job reads; of a committed study those that it holds, since a later profile may ask for more."""
    kept = job.layout.reference
    return [
        path
        for path in STEPS[job.step].list_inputs(job)
        if kept is None or not path.is_relative_to(kept) or path.exists()
    ]


def drop_folders(paths: Iterable[Path]) -> list[Path]:
    """Paths without repeats and without the folders that others lie in: named files stand for their folder."""
    kept = list(dict.fromkeys(paths))
    folders = {parent for path in kept for parent in path.parents}
    return [path for path in kept if path not in folders]


def list_needed(job: Job) -> list[Path]:
    """Files whose change makes a job stale: its inputs, and what it reads that its sidecar does not record."""
    needed, study = (
        drop_folders([*list_read(job), *STEPS[job.step].list_unrecorded(job)]),
        job.layout.reference,
    )
    if study is None:
        return needed
    # A committed study's files are there only once it is unpacked, all of them together.
    return [locate_stamp(study), *(path for path in needed if not path.is_relative_to(study))]


def list_made(job: Job) -> list[Path]:
    """Files that a finished job leaves: its outputs, and last their sidecar."""
    outputs = STEPS[job.step].list_outputs(job)
    return [*drop_folders(outputs), sidecar_path(outputs[0])]


def list_guards(job: Job) -> list[Path]:
    """Files that must be there before a job starts, of which it reads nothing: the word that its rows were checked."""
    return [sidecar_path(job.layout.contamination)] if STEPS[job.step].guarded else []


def find_sidecar(job: Job) -> Path:
    """The sidecar of a job's artifact."""
    return sidecar_path(STEPS[job.step].list_outputs(job)[0])


def list_expected_sidecars(profile: Profile, layout: Layout) -> list[Path]:
    """The sidecar of every artifact that a finished run of a profile leaves in its results tree."""
    return [find_sidecar(job) for job in list_jobs(profile, layout)]
