"""What a step by hand needs: the unit that it is for, and the artifacts that other steps make."""

from dataclasses import replace
from pathlib import Path

from harc.core.errors import ArtifactError, ConfigError
from harc.steps.pipeline import Job, list_jobs, list_read, list_tuning_jobs, load_step

MODEL, RUN = ("backbone", "seed"), ("backbone", "method", "seed")
UNITS = {
    "train_backbone": MODEL,
    "fetch_backbone": MODEL,
    "extract_directions": MODEL,
    "train_adapter": RUN,
    "fit_steering": RUN,
    "tune_method": RUN,
    "evaluate": RUN,
    "score": RUN,
    "trace_responses": RUN,
    "finetune_harmful": RUN,
    "measure_helpfulness": RUN,
    "choose_point": ("method",),
    "make_figure": ("figure",),
}
"""What each step is for; a step that is not named here is for a whole profile."""
MOST_NAMED = 6
"""Units that a message lists."""


def check_job(job: Job) -> None:
    """Say in one line why a job cannot run: its unit, or an artifact that another step makes first.

    Raises:
        ConfigError, ArtifactError: see check_unit, check_inputs.
    """
    check_unit(job)
    check_inputs(job)


def check_unit(job: Job) -> None:
    """Compare a job's unit with what its step is for and with what the profile runs; seeds are free.

    Raises:
        ConfigError: for an option that is missing or has no use, or a unit that the profile does not run.
    """
    needed = UNITS.get(job.step, ())
    given = [name for name in ("backbone", "method", "seed", "figure") if getattr(job, name) is not None]
    if set(given) != set(needed):
        raise ConfigError(
            f"harc step {job.step}",
            expected=_name_options(needed) or "no option that names a part of the profile",
            found=_name_options(given) or "none of them",
            fix="give exactly these; `harc config check` lists backbones, methods and seeds",
        )
    known = list(
        dict.fromkeys((unit.backbone, unit.method) for unit in list_all_jobs(job) if unit.step == job.step)
    )
    if {"backbone", "method"} & set(needed) and (job.backbone, job.method) not in known:
        names = [" with ".join(filter(None, unit)) for unit in known]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise ConfigError(
            f"harc step {job.step}",
            expected=f"one of profile {job.profile.name}'s: {', '.join(names[:MOST_NAMED]) or 'it has none'}{more}",
            found=" ".join(f"--{name} {getattr(job, name)}" for name in needed),
            fix="choose another, or the step that is for this one",
        )


def list_all_jobs(job: Job) -> list[Job]:
    """Every job of a job's profile, tuning among them."""
    return [*list_jobs(job.profile, job.layout), *list_tuning_jobs(job.profile, job.layout)]


def check_inputs(job: Job) -> None:
    """Stop before anything is touched if an artifact that the job reads is not there.

    Raises:
        ArtifactError: naming the step that makes it.
    """
    missing = next((path for path in list_read(job) if not path.exists()), None)
    if missing is None:
        return
    maker, everything = (
        find_maker(job, missing),
        f"snakemake --cores all --config profile={job.profile.source}",
    )
    raise ArtifactError(
        str(missing),
        expected=f"a file or folder that {job.step} reads",
        found="none",
        fix=f"run `{maker.command}`; `{everything}` runs every step in order" if maker else "check the path",
    )


def find_maker(job: Job, path: Path) -> Job | None:
    """The job of the same profile, and of the same seed where it has one, that makes a file or its folder."""
    for listed in list_all_jobs(job):
        seed = listed.seed if job.seed is None else job.seed
        other = listed if listed.seed is None else replace(listed, seed=seed)
        made = load_step(other.step).list_outputs(other)
        if any(path == output or output in path.parents or path in output.parents for output in made):
            return other
    return None


def _name_options(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"--{name}" for name in names)
