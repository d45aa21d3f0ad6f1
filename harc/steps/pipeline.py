"""The steps of a profile: what each depends on, and running one with its provenance recorded.

A step is a module under `harc.steps` with four functions of a `Job`: `select_settings` (the values it depends on),
`list_inputs`, `list_outputs` (the first is the artifact that its sidecar stands beside; named files in it stand for a
folder) and `run`. `list_unrecorded`, where there is one, names what is read beside the inputs. The workflow's rules
take inputs and outputs from here, and compare `fingerprint_step` between runs: a change of a step's code or settings
reruns that step and its dependants.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from harc.core.artifacts import BASE, Layout, sidecar_path
from harc.core.errors import ArtifactError, ConfigError
from harc.core.fingerprint import fingerprint_code
from harc.settings.profile import Profile, load_profile
from harc.steps.reference import locate_reference, locate_stamp, unpack_reference

STEPS = (
    "pull_data",
    "check_contamination",
    "train_backbone",
    "fetch_backbone",
    "extract_directions",
    "train_adapter",
    "fit_steering",
    "tune_method",
    "choose_point",
    "collect_points",
    "evaluate",
    "score",
    "trace_responses",
    "finetune_harmful",
    "measure_helpfulness",
    "make_tables",
    "make_figure",
    "tabulate_compute",
    "seal_results",
    "build_paper",
    "build_report",
    "audit",
)

OPTIONS = ("profile", "reference", "backbone", "method", "seed", "figure")


# Steps that learn or choose from rows: none may start unless these were found free of held-out prompts.
GUARDED = (
    "train_backbone",
    "extract_directions",
    "train_adapter",
    "fit_steering",
    "tune_method",
    "finetune_harmful",
)


@dataclass(frozen=True)
class Job:
    """One step for one unit of a profile; fields that a step has no use for are None, or wildcards of the workflow."""

    step: str
    profile: Profile
    layout: Layout
    backbone: str | None = None
    method: str | None = None
    seed: int | str | None = None
    figure: str | None = None
    mirror: Path | None = None  # folder that stands in for the network; changes no result

    @property
    def command(self) -> str:
        """The line that runs this job by hand."""
        options = {
            "reference": self.layout.reference and self.layout.reference.name,
            "backbone": self.backbone,
            "method": self.method,
            "seed": self.seed,
            "figure": self.figure,
        }
        words = ["harc", "step", self.step, "--profile", self.profile.source]
        for name, value in options.items():
            words += [] if value is None else [f"--{name}", str(value)]
        return shlex.join(words)

    @property
    def label(self) -> str:
        """Short name for progress lines."""
        parts = [self.backbone, self.method, self.figure, None if self.seed is None else f"seed{self.seed}"]
        return " ".join([self.step, *(part for part in parts if part)])


def load_step(step: str):
    """The module behind a step."""
    return import_module(f"harc.steps.{step}")


def create_job(step: str, profile: Profile, reference: str | None = None, **unit: Any) -> Job:
    """A job of a profile.

    Args:
        step: name of a step.
        profile: its settings.
        reference: name of a committed study to read in place of a run of the profile's own.
        unit: backbone, method, seed, figure: what the step is for.

    Raises:
        ConfigError: if the step, backbone, method or figure is not one of the profile's, or there is no such reference.
    """
    known = {
        "backbone": profile.all_backbones,
        "method": ["base", *profile.methods, *profile.list_arms()],
        "figure": profile.figures,
    }
    if step not in STEPS:
        raise ConfigError(
            "harc step", expected=f"one of {', '.join(STEPS)}", found=step, fix="check the spelling"
        )
    for name, values in known.items():
        value = unit.get(name)
        if value is not None and value not in values:
            raise ConfigError(
                f"{name} of {step}",
                expected=f"one of {', '.join(values)} (profile {profile.name})",
                found=str(value),
                fix=f"check the spelling, or add it to {profile.source}",
            )
    layout = Layout(profile.results_root) if reference is None else locate_reference(reference)
    return Job(step, profile, layout, **unit)


def parse_command(command: str) -> tuple[str, dict[str, str]]:
    """Step and options of `harc step NAME --option value ...`, as a sidecar holds it.

    A sidecar may come from anyone, and its command is shown as advice: accepted is only what `Job.command` writes,
    quoted as a shell needs it.

    Raises:
        ArtifactError: if it is no such line.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # a quotation without an end
        words = []
    names, values = words[3::2], words[4::2]
    options = dict(zip(names, values, strict=False))
    well_formed = (
        shlex.join(words) == command
        and command.isprintable()
        and words[:2] == ["harc", "step"]
        and words[2:3] != []
        and words[2] in STEPS
        and len(options) == len(names) == len(values)
        and options.keys() <= {f"--{name}" for name in OPTIONS}
        and not any(value.startswith("-") for value in values)
        and re.fullmatch(r"[0-9]{1,18}", options.get("--seed", "0"), re.ASCII)
    )
    if not well_formed:
        raise ArtifactError(
            "sidecar", expected="the command of a workflow step", found=command, fix="remove the artifact"
        )
    return words[2], {name.removeprefix("--"): value for name, value in options.items()}


def recreate_job(command: str, load: Callable[[str], Profile] = load_profile) -> Job:
    """The job behind a sidecar's command.

    Args:
        command: the line in the sidecar.
        load: reads a profile; a caller with many commands may remember them.

    Raises:
        HarcError: if the project has no such step, profile, backbone, method or figure any more.
    """
    step, options = parse_command(command)
    profile = load(options.pop("profile", "organism"))
    seed = options.pop("seed", None)
    return create_job(step, profile, seed=None if seed is None else int(seed), **options)


def list_jobs(profile: Profile, layout: Layout) -> list[Job]:
    """Every job that leaves an artifact in a profile's tree, in an order in which they can run."""
    models = [{"backbone": name, "seed": seed} for name, seed in profile.list_models()]
    evaluated, traced, finetuned, helpful = (
        [dict(zip(("backbone", "method", "seed"), unit, strict=True)) for unit in found]
        for found in (
            profile.list_units(),
            profile.list_traced_units(),
            profile.list_finetuned_units(),
            profile.list_helpfulness_units(),
        )
    )
    adapted = [unit for unit in evaluated if unit["method"] != BASE]
    settings = profile.adapted
    fitted = {name for name, method in settings.items() if method.is_fitted}
    is_organism = {name: backbone.kind == "organism" for name, backbone in profile.all_backbones.items()}
    units = {
        "pull_data": [{}],
        "check_contamination": [{}],
        "train_backbone": [unit for unit in models if is_organism[unit["backbone"]]],
        "fetch_backbone": [unit for unit in models if not is_organism[unit["backbone"]]],
        "extract_directions": models,
        # Methods that start from another's adapter come after those that start from the base.
        "train_adapter": sorted(
            (unit for unit in adapted if unit["method"] not in fitted),
            key=lambda unit: settings[unit["method"]].start_from is not None,
        ),
        "fit_steering": [unit for unit in adapted if unit["method"] in fitted],
        "evaluate": evaluated,
        "score": evaluated,
        "trace_responses": traced,
        "finetune_harmful": finetuned,
        "measure_helpfulness": helpful,
        "make_tables": [{}],
        "make_figure": [{"figure": figure} for figure in profile.figures],
        "tabulate_compute": [{}],
        "seal_results": [{}],
        "build_report": [{}],
    }
    return [Job(step, profile, layout, **unit) for step, found in units.items() for unit in found]


def list_tuning_jobs(profile: Profile, layout: Layout) -> list[Job]:
    """Every job of a profile's tuning: points, of the base too, and what is chosen from them; none without grids."""
    grids = profile.tuning.grids
    if not grids:
        return []
    points = [
        Job("tune_method", profile, layout, backbone, method, seed)
        for method in (BASE, *grids)
        for backbone in profile.backbones
        for seed in profile.tuning.seeds
    ]
    choices = [Job("choose_point", profile, layout, method=method) for method in grids]
    return [*points, *choices, Job("collect_points", profile, layout)]


def list_read(job: Job) -> list[Path]:
    """Files that a job reads; of a committed study those that it holds, since a later profile may ask for more."""
    kept = job.layout.reference
    return [
        path
        for path in load_step(job.step).list_inputs(job)
        if kept is None or not path.is_relative_to(kept) or path.exists()
    ]


def drop_folders(paths: Iterable[Path]) -> list[Path]:
    """Paths without repeats and without the folders that others lie in: named files stand for their folder."""
    kept = list(dict.fromkeys(paths))
    folders = {parent for path in kept for parent in path.parents}
    return [path for path in kept if path not in folders]


def list_needed(job: Job) -> list[Path]:
    """Files whose change makes a job stale: its inputs, and what it reads that its sidecar does not record."""
    unrecorded = getattr(load_step(job.step), "list_unrecorded", lambda job: [])(job)
    needed, study = drop_folders([*list_read(job), *unrecorded]), job.layout.reference
    if study is None:
        return needed
    # A committed study's files are there only once it is unpacked, all of them together.
    return [locate_stamp(study), *(path for path in needed if not path.is_relative_to(study))]


def list_made(job: Job) -> list[Path]:
    """Files that a finished job leaves: its outputs, and last their sidecar."""
    outputs = load_step(job.step).list_outputs(job)
    return [*drop_folders(outputs), sidecar_path(outputs[0])]


def list_guards(job: Job) -> list[Path]:
    """Files that must be there before a job starts, of which it reads nothing: the word that its rows were checked."""
    return [sidecar_path(job.layout.contamination)] if job.step in GUARDED else []


def check_guards(job: Job) -> None:
    """Stop before a step whose rows have not been checked.

    Raises:
        ArtifactError: naming what is missing.
    """
    for path in list_guards(job):
        if not path.is_file():
            raise ArtifactError(
                str(path),
                expected="the word that no held-out prompt is learnt from",
                found="none",
                fix=f"run `harc step check_contamination --profile {job.profile.source}`",
            )


def hash_settings(settings: dict) -> str:
    """SHA-256 of settings as sorted JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def list_code(job: Job) -> list[str]:
    """Where the code begins that a job's result depends on: its step, and what the step loads by name."""
    extra = getattr(load_step(job.step), "list_plugins", lambda job: [])(job)
    return [f"harc.steps.{job.step}:run", *extra]


def fingerprint_step(profile: Profile, step: str, **unit: Any) -> str:
    """Hash of the code and the settings that a job's result depends on."""
    return fingerprint_job(create_job(step, profile, **unit))


def fingerprint_job(job: Job) -> str:
    """The same of a job at hand."""
    settings = load_step(job.step).select_settings(job)
    text = f"{fingerprint_code(list_code(job))} {hash_settings(settings)}"
    return hashlib.sha256(text.encode()).hexdigest()


def check_fingerprint(job: Job, planned: str | None) -> None:
    """Stop where code or settings are not those that the workflow was started with.

    The workflow would file the result under the old ones, and take it for theirs when they come back.

    Raises:
        ConfigError: naming the job.
    """
    if planned is not None and planned != fingerprint_job(job):
        raise ConfigError(
            job.label,
            expected=f"the code and the settings of {job.profile.source} that the run was started with",
            found="others: a file was changed meanwhile",
            fix="run the workflow again; finished jobs are kept",
        )


def run_job(job: Job, planned: str | None = None) -> None:
    """Run a step and write its sidecar.

    Args:
        job: the step and its unit.
        planned: fingerprint under which the workflow will file the result; None for a run by hand.

    Raises:
        HarcError: whatever the step finds wrong; nothing is left half-written.
    """
    from harc.core.provenance import record_step

    check_fingerprint(job, planned)
    check_guards(job)
    if job.layout.reference is not None:
        unpack_reference(job.layout.reference.name)
    step = load_step(job.step)
    settings = step.select_settings(job)
    outputs = step.list_outputs(job)
    with record_step(
        outputs[0],
        results_root=job.layout.root,
        command=job.command,
        inputs=list_read(job),
        outputs=outputs,
        code=fingerprint_code(list_code(job)),
        settings=settings,
        settings_hash=hash_settings(settings),
        seed=job.seed,
    ):
        step.run(job)
