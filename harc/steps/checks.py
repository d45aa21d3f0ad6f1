"""What a step by hand needs: the unit that it is for, and the artifacts that other steps make."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harc.core.errors import ArtifactError, ConfigError
from harc.settings.profile import Profile
from harc.steps.files import list_read
from harc.steps.job import PARTS, Job
from harc.steps.registry import STEPS, list_jobs, list_jobs_of

MOST_NAMED = 6
"""Units that a message lists."""


def check_job(job: Job) -> None:
    """Say in one line why a job cannot run: its unit, or an artifact that another step makes first.

    Raises:
        ConfigError, ArtifactError: see check_unit, check_inputs.
    """
    check_unit(job)
    check_inputs(job)


def refuse_rehearsal(profile: Profile) -> None:
    """Keep a rehearsal's results where they are: nobody elsewhere would know them for what they are.

    Raises:
        ConfigError: for a rehearsal.
    """
    if profile.rehearsal:
        raise ConfigError(
            profile.source,
            expected="a profile whose results are results",
            found="a rehearsal on stand-ins",
            fix=f"name the real one: {profile.name}",
        )


def check_unit(job: Job) -> None:
    """Compare a job's unit with what its step is for and with what the profile runs; seeds are free.

    Raises:
        ConfigError: for an option that is missing or has no use, or a unit that the profile does not run.
    """
    step = STEPS[job.step]
    given = [name for name in PARTS if getattr(job, name) is not None]
    if set(given) != set(step.unit):
        raise ConfigError(
            f"harc step {job.step}",
            expected=_name_options(step.unit) or "no option that names a part of the profile",
            found=_name_options(given) or "none of them",
            fix="give exactly these; `harc config check` lists backbones, methods and seeds",
        )
    jobs = list_jobs_of(step, job.profile, job.layout)
    known = list(dict.fromkeys((other.backbone, other.method) for other in jobs))
    if {"backbone", "method"} & set(step.unit) and (job.backbone, job.method) not in known:
        names = [" with ".join(filter(None, unit)) for unit in known]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise ConfigError(
            f"harc step {job.step}",
            expected=f"one of profile {job.profile.name}'s: {', '.join(names[:MOST_NAMED]) or 'it has none'}{more}",
            found=" ".join(f"--{name} {getattr(job, name)}" for name in step.unit),
            fix="choose another, or the step that is for this one",
        )


def check_inputs(job: Job) -> None:
    """Stop before anything is touched if an artifact that the job reads is not there.

    Raises:
        ArtifactError: naming the step that makes it.
    """
    missing = next((path for path in list_read(job) if not path.exists()), None)
    if missing is None:
        return
    maker = find_maker(job, missing)
    everything = f"snakemake --cores all --config profile={job.profile.source}"
    raise ArtifactError(
        str(missing),
        expected=f"a file or folder that {job.step} reads",
        found="none",
        fix=f"run `{maker.command}`; `{everything}` runs every step in order" if maker else "check the path",
    )


def find_maker(job: Job, path: Path) -> Job | None:
    """The job of the same profile, and of the same seed where it has one, that makes a file or its folder."""
    for part in ("run", "tuning"):
        for listed in list_jobs(job.profile, job.layout, part):
            seed = listed.seed if job.seed is None else job.seed
            other = listed if listed.seed is None else replace(listed, seed=seed)
            made = STEPS[other.step].list_outputs(other)
            if any(path == output or output in path.parents or path in output.parents for output in made):
                return other
    return None


def _name_options(names: Iterable[str]) -> str:
    return ", ".join(f"--{name}" for name in names)
