"""How far a study is that takes days: its units in the order of what they decide, what is finished, hours left."""

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from harc.core.artifacts import BASE, Layout
from harc.core.errors import ArtifactError, HarcError
from harc.core.files import read_json
from harc.settings.profile import Profile
from harc.steps.files import find_sidecar, list_made
from harc.steps.job import RUN, Job
from harc.steps.registry import STEPS, list_jobs

Unit = tuple[str, str, int]


class Progress(NamedTuple):
    """Jobs of one step: how many there are, how many are finished, and the mean time of those (seconds; None: none)."""

    step: str
    jobs: int
    finished: int
    seconds: float | None


def read_record(job: Job) -> dict[str, Any] | None:
    """The sidecar of a finished job; None where there is none.

    Raises:
        ArtifactError: if it cannot be read.
    """
    path = find_sidecar(job)
    if not path.is_file():
        return None
    try:
        record = read_json(path)
        return {name: record[name] for name in ("code", "settings_hash", "wall_seconds", "outputs")}
    except (HarcError, KeyError, TypeError) as problem:
        raise ArtifactError(
            str(path),
            expected="the record of a finished step",
            found=getattr(problem, "found", type(problem).__name__),
            fix=f"remove it; `{job.command}` makes it again",
        ) from None


def list_units(profile: Profile) -> list[Unit]:
    """Every model that is evaluated, in the order in which they are worth having.

    The bases first; then, seed by seed, the methods and arms that run on every seed, since contrasts are decided by
    several; then the rest.
    """
    methods = [BASE, *profile.adapted]
    most = len(profile.seeds)

    def rank(unit: tuple[str, str, int]) -> tuple:
        backbone, method, seed = unit
        few = method != BASE and len(profile.find_seeds(method)) < most
        return (
            method != BASE,
            few,
            profile.seeds.index(seed),
            methods.index(method),
            list(profile.backbones).index(backbone),
        )

    return sorted(profile.list_units(), key=rank)


def list_unit_jobs(jobs: Iterable[Job], unit: Unit) -> list[Job]:
    """The jobs of one model, in order."""
    return [job for job in jobs if job.unit == unit and STEPS[job.step].unit == RUN]


def is_finished(job: Job) -> bool:
    """Whether a job has left its sidecar, which is written last."""
    return find_sidecar(job).is_file()


def list_targets(jobs: Iterable[Job]) -> list[Path]:
    """What the workflow is asked for to have jobs done: their sidecars."""
    return [list_made(job)[-1] for job in jobs]


def measure_progress(profile: Profile, layout: Layout) -> list[Progress]:
    """Jobs by step, tuning first, in the order of the steps; every record of a finished one is read once."""
    found: dict[str, list[float | None]] = {}
    for job in (*list_jobs(profile, layout, "tuning"), *list_jobs(profile, layout)):
        record = read_record(job)
        found.setdefault(job.step, []).append(None if record is None else float(record["wall_seconds"]))
    rows = []
    for step, times in found.items():
        known = [seconds for seconds in times if seconds is not None]
        rows.append(Progress(step, len(times), len(known), fmean(known) if known else None))
    return rows


def estimate_hours(profile: Profile, layout: Layout) -> tuple[float, int]:
    """(hours that unfinished jobs take one after another, jobs of which nothing is known).

    A job takes what the finished jobs of its step took on its backbone; where there are none, on any.
    """
    times: dict[tuple[str, str | None], list[float]] = {}
    left = []
    for job in list_jobs(profile, layout):
        record = read_record(job)
        if record is None:
            left.append(job)
            continue
        for backbone in {job.backbone, None}:
            times.setdefault((job.step, backbone), []).append(float(record["wall_seconds"]))
    seconds, unknown = 0.0, 0
    for job in left:
        known = times.get((job.step, job.backbone)) or times.get((job.step, None))
        seconds, unknown = seconds + (fmean(known) if known else 0.0), unknown + (not known)
    return seconds / 3600, unknown


def find_other_code(profile: Profile, layout: Layout) -> list[Job]:
    """Finished jobs that were made by other code or settings than those of now: a study is of one."""
    from harc.core.fingerprint import fingerprint_code
    from harc.steps.running import hash_settings, list_code

    found = []
    for job in list_jobs(profile, layout):
        record = read_record(job)
        if record is not None:
            now = fingerprint_code(list_code(job)), hash_settings(STEPS[job.step].select_settings(job))
            if (record["code"], record["settings_hash"]) != now:
                found.append(job)
    return found


def format_progress(profile: Profile, layout: Layout, cores: int) -> str:
    """A line a step that is not done, then what is left."""
    rows = measure_progress(profile, layout)
    hours, unknown = estimate_hours(profile, layout)
    jobs, finished = (sum(getattr(row, name) for row in rows) for name in ("jobs", "finished"))
    lines = [f"profile {profile.name}: {finished} of {jobs} jobs finished"]
    width = max(len(row.step) for row in rows)
    for row in rows:
        each = "" if row.seconds is None else f", {row.seconds / 60:.1f} min each"
        lines.append(f"  {row.step:{width}} {row.finished:4} of {row.jobs}{each}")
    if finished < jobs:
        words = (
            f"about {hours / cores:.1f} hours left on {cores} cores"
            if hours
            else "how long it takes is not known yet"
        )
        lines.append(
            words + (f", and {unknown} jobs of which none was run so far" if unknown and hours else "")
        )
    return "\n".join(lines)
