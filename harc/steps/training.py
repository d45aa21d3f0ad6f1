"""Steps that make a method's model, and measure the directions again under it: train_adapter, fit_steering (CAST)."""

from pathlib import Path

from harc.core.artifacts import ADAPTER_FILES, BASE, STEERING_FILES
from harc.settings.methods import list_objective_code
from harc.settings.profile import Profile
from harc.settings.training import MethodSettings
from harc.steps.data import list_rows
from harc.steps.directions import (
    ROWS,
    list_directions,
    measure_directions,
    read_extraction_rows,
    select_reading,
)
from harc.steps.job import RUN, Job, Step, run_on_model, within
from harc.steps.models import find_base_directions, is_steering, list_backbone_files, list_method_files

TRAINING_FIELDS = ("category", "prompt", "response")


def read_training_rows(job: Job) -> list[dict]:
    """The rows that the job's method learns from.

    Raises:
        DataError: naming file and line, for a damaged row.
    """
    from harc.core.files import read_jsonl

    return read_jsonl(list_rows(job, "training.jsonl")[0], TRAINING_FIELDS)


def find_settings(job: Job) -> MethodSettings:
    """Settings of the job's method on its backbone."""
    return job.profile.choose_training(job.backbone, job.method)


def select_method_settings(job: Job) -> dict:
    """The method, and how directions are read."""
    return {"method": find_settings(job).model_dump(mode="json"), **select_reading(job)}


def list_method_outputs(job: Job, names: tuple[str, ...]) -> list[Path]:
    """The method's folder, its files, and the directions under it."""
    return [*within(job.layout.adapter(*job.unit), names), *list_directions(job, job.method)]


def list_trained_units(profile: Profile) -> list[tuple]:
    """Every (backbone, method, seed) that is trained; methods that start from another's adapter come last."""
    settings = profile.adapted
    units = [unit for unit in profile.list_units() if unit[1] != BASE and not is_steering(profile, unit[1])]
    return sorted(units, key=lambda unit: settings[unit[1]].start_from is not None)


def list_fitted_units(profile: Profile) -> list[tuple]:
    """Every (backbone, method, seed) that is fitted."""
    return [unit for unit in profile.list_units() if unit[1] != BASE and is_steering(profile, unit[1])]


def list_training_inputs(job: Job) -> list[Path]:
    """The backbone, its directions, the training and extraction splits, the adapter that training starts from."""
    return [
        *list_backbone_files(job),
        find_base_directions(job),
        *list_rows(job, "training.jsonl", *ROWS),
        *list_method_files(job, find_settings(job).start_from or BASE),
    ]


def run_train_adapter(job: Job) -> None:
    """Train, resuming from a checkpoint if there is one; then measure the directions on the trained model."""
    from harc.geometry.directions import load_directions
    from harc.steps.models import find_model
    from harc.training.run import train_adapter

    settings = find_settings(job)
    start = settings.start_from
    train_adapter(
        find_model(job).for_training().open(),
        read_training_rows(job),
        *read_extraction_rows(*list_rows(job, *ROWS)),
        load_directions(find_base_directions(job)),
        settings,
        job.stream,
        job.layout.adapter(*job.unit),
        job.layout.checkpoint("training", *job.unit),
        direction_settings=job.profile.directions,
        start_from=None if start is None else job.layout.adapter(job.backbone, start, job.seed),
    )
    measure_directions(job, find_model(job, job.method).open(), job.method)


TRAIN_ADAPTER = Step(
    "train_adapter",
    f"{__name__}:run_train_adapter",
    list_outputs=lambda job: list_method_outputs(job, ADAPTER_FILES),
    unit=RUN,
    list_units=list_trained_units,
    list_inputs=list_training_inputs,
    # A change of the method's objective trains the methods that use it again and no others.
    list_plugins=lambda job: list_objective_code(find_settings(job)),
    select_settings=select_method_settings,
    resources=run_on_model(120),
    guarded=True,
)


def run_fit_steering(job: Job) -> None:
    """Fit CAST's vectors and condition; then measure the directions on the steered model."""
    from harc.methods.cast import fit_steering
    from harc.steps.models import find_model

    rows = read_training_rows(job)
    backbone = find_model(job).open()
    fit_steering(backbone, rows, find_settings(job), job.stream, job.layout.adapter(*job.unit))
    measure_directions(job, find_model(job, job.method).open(), job.method)


FIT_STEERING = Step(
    "fit_steering",
    f"{__name__}:run_fit_steering",
    list_outputs=lambda job: list_method_outputs(job, STEERING_FILES),
    unit=RUN,
    list_units=list_fitted_units,
    list_inputs=lambda job: [*list_backbone_files(job), *list_rows(job, "training.jsonl", *ROWS)],
    select_settings=select_method_settings,
    resources=run_on_model(60),
    guarded=True,
)
