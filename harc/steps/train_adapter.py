"""Step train_adapter: one method's LoRA adapter, and the directions measured again under it."""

from pathlib import Path

from harc.artifacts import BASE, DIRECTION_FILES
from harc.pipeline import Job
from harc.steps.extract_directions import count_layers

ROWS = ("training.jsonl", "extraction.jsonl", "extraction_pairs.jsonl")


def select_settings(job: Job) -> dict:
    """The method, and how directions are read."""
    return {
        "method": job.profile.choose_training(job.backbone, job.method).model_dump(mode="json"),
        "directions": job.profile.directions.model_dump(mode="json"),
        "k": count_layers(job),
    }


def list_inputs(job: Job) -> list[Path]:
    """The backbone, its directions, the training and extraction splits."""
    return [
        job.layout.backbone(job.backbone, job.seed),
        job.layout.directions(job.backbone, BASE, job.seed) / "directions.safetensors",
        *(job.profile.data_dir / name for name in ROWS),
    ]


def list_outputs(job: Job) -> list[Path]:
    """The adapter's folder, and the directions under it."""
    geometry = job.layout.directions(job.backbone, job.method, job.seed)
    adapter = job.layout.adapter(job.backbone, job.method, job.seed)
    return [adapter, *(geometry / name for name in DIRECTION_FILES)]


def run(job: Job) -> None:
    """Train, resuming from a checkpoint if there is one; then measure the directions on the trained model."""
    from harc.directions import load_directions
    from harc.files import read_jsonl
    from harc.steps.models import open_backbone
    from harc.steps.reading import read_extraction_rows, write_directions
    from harc.training.run import train_adapter

    adapter, directions = list_outputs(job)[:2]
    extraction = read_extraction_rows(job.profile.data_dir)
    train_adapter(
        open_backbone(job),
        read_jsonl(job.profile.data_dir / "training.jsonl", ("category", "prompt", "response")),
        *extraction,
        load_directions(list_inputs(job)[1]),
        job.profile.choose_training(job.backbone, job.method),
        job.seed,
        adapter,
        job.layout.checkpoint("training", job.backbone, job.method, job.seed),
        direction_settings=job.profile.directions,
    )
    adapted = open_backbone(job, job.method)
    write_directions(adapted, extraction, job.profile.directions, count_layers(job), directions.parent)
