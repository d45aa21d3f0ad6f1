"""Step extract_directions: the base model's directions per layer, with intervals, and the layer scores."""

from pathlib import Path

from harc.core.artifacts import BASE, DIRECTION_FILES
from harc.steps.models import list_backbone_files
from harc.steps.pipeline import Job

ROWS = ("extraction.jsonl", "extraction_pairs.jsonl")


def select_settings(job: Job) -> dict:
    """How directions are read, and how many layers a method trains on."""
    return {"directions": job.profile.directions.model_dump(mode="json"), "k": count_layers(job)}


def count_layers(job: Job) -> int:
    """Number of layers marked as selected: the most that any method of the profile trains on."""
    methods = (job.profile.choose_training(job.backbone, method) for method in job.profile.methods)
    return max((method.k_final for method in methods), default=4)


def list_inputs(job: Job) -> list[Path]:
    """The backbone and the extraction split."""
    return [*list_backbone_files(job), *(job.profile.data_dir / name for name in ROWS)]


def list_outputs(job: Job) -> list[Path]:
    """directions.safetensors, layers.json."""
    folder = job.layout.directions(job.backbone, BASE, job.seed)
    return [folder / name for name in DIRECTION_FILES]


def run(job: Job) -> None:
    """Extract and write the directions of the untouched backbone."""
    from harc.steps.models import find_model
    from harc.steps.reading import read_extraction_rows, write_directions

    backbone = find_model(job).open()
    rows = read_extraction_rows(job.profile.data_dir)
    write_directions(backbone, rows, job.profile.directions, count_layers(job), list_outputs(job)[0].parent)
