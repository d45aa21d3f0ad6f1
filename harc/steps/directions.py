"""Step extract_directions: the base model's directions per layer, with intervals, and the layer scores."""

from pathlib import Path
from typing import Any

from harc.core.artifacts import BASE, DIRECTION_FILES
from harc.settings.directions import DirectionSettings
from harc.settings.profile import Profile
from harc.steps.data import list_rows
from harc.steps.job import MODEL, Job, Step, run_on_model
from harc.steps.models import list_backbone_files

ROWS = ("extraction.jsonl", "extraction_pairs.jsonl")


def count_layers(job: Job) -> int:
    """Number of layers marked as selected: the most that any method of the profile trains on."""
    methods = (job.profile.choose_training(job.backbone, method) for method in job.profile.methods)
    return max((method.k_final for method in methods), default=4)


def select_reading(job: Job) -> dict:
    """How directions are read, and how many layers are marked."""
    return {**job.dump("directions"), "k": count_layers(job)}


def list_directions(job: Job, method: str) -> list[Path]:
    """directions.safetensors and layers.json of a method's model."""
    folder = job.layout.directions(job.backbone, method, job.seed)
    return [folder / name for name in DIRECTION_FILES]


def read_extraction_rows(prompts: Path, pairs: Path) -> tuple[list[dict], list[dict]]:
    """Prompts (category, prompt) and teacher-forced pairs (kind, prompt, response), of files in the order of `ROWS`.

    Raises:
        DataError: naming file and line, for a damaged row.
    """
    from harc.core.files import read_jsonl

    return read_jsonl(prompts, ("category", "prompt")), read_jsonl(pairs, ("kind", "prompt", "response"))


def write_directions(
    backbone: Any, rows: tuple[list[dict], list[dict]], settings: DirectionSettings, k: int, out_dir: Path
) -> None:
    """Extract a model's directions; write directions.safetensors and layers.json (backbone: a `Backbone`)."""
    from harc.core.files import write_json
    from harc.geometry.directions import save_directions
    from harc.geometry.extraction import extract_directions
    from harc.methods.harc import describe_choice
    from harc.training.rows import split_extraction

    directions = extract_directions(backbone, *split_extraction(*rows), settings)
    save_directions(directions, out_dir / "directions.safetensors")
    write_json(out_dir / "layers.json", describe_choice(directions, k, settings.layers))


def measure_directions(job: Job, backbone: Any, method: str) -> None:
    """Write the directions of a method's loaded model."""
    rows = read_extraction_rows(*list_rows(job, *ROWS))
    folder = job.layout.directions(job.backbone, method, job.seed)
    write_directions(backbone, rows, job.profile.directions, count_layers(job), folder)


def run_extract_directions(job: Job) -> None:
    """Extract and write the directions of the untouched backbone."""
    from harc.steps.models import find_model

    measure_directions(job, find_model(job).open(), BASE)


EXTRACT_DIRECTIONS = Step(
    "extract_directions",
    f"{__name__}:run_extract_directions",
    list_outputs=lambda job: list_directions(job, BASE),
    unit=MODEL,
    list_units=Profile.list_models,
    list_inputs=lambda job: [*list_backbone_files(job), *list_rows(job, *ROWS)],
    select_settings=select_reading,
    resources=run_on_model(60),
    guarded=True,
)
