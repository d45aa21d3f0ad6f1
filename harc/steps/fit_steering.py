"""Step fit_steering: CAST's vectors and condition, and the directions measured again under it."""

from pathlib import Path

from harc.core.artifacts import DIRECTION_FILES, STEERING_FILES
from harc.steps.extract_directions import count_layers
from harc.steps.models import list_backbone_files
from harc.steps.pipeline import Job

ROWS = ("training.jsonl", "extraction.jsonl", "extraction_pairs.jsonl")


def select_settings(job: Job) -> dict:
    """The method, and how directions are read."""
    return {
        "method": job.profile.choose_training(job.backbone, job.method).model_dump(mode="json"),
        "directions": job.profile.directions.model_dump(mode="json"),
        "k": count_layers(job),
    }


def list_inputs(job: Job) -> list[Path]:
    """The backbone, the training and extraction splits."""
    return [*list_backbone_files(job), *(job.profile.data_dir / name for name in ROWS)]


def list_outputs(job: Job) -> list[Path]:
    """The steering's folder, its files, and the directions under it."""
    geometry = job.layout.directions(job.backbone, job.method, job.seed)
    steering = job.layout.adapter(job.backbone, job.method, job.seed)
    files = [steering / name for name in STEERING_FILES]
    return [steering, *files, *(geometry / name for name in DIRECTION_FILES)]


def run(job: Job) -> None:
    """Fit; then measure the directions on the steered model."""
    from harc.core.files import read_jsonl
    from harc.methods.cast import fit_steering
    from harc.steps.models import find_model
    from harc.steps.reading import read_extraction_rows, write_directions

    unit = (job.backbone, job.method, job.seed)
    steering, directions = job.layout.adapter(*unit), job.layout.directions(*unit)
    rows = read_jsonl(job.profile.data_dir / "training.jsonl", ("category", "prompt", "response"))
    fit_steering(
        find_model(job).open(),
        rows,
        job.profile.choose_training(job.backbone, job.method),
        job.seed,
        steering,
    )
    steered = find_model(job, job.method).open()
    extraction = read_extraction_rows(job.profile.data_dir)
    write_directions(steered, extraction, job.profile.directions, count_layers(job), directions)
