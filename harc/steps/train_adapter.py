"""Step train_adapter: one method's LoRA adapter, and the directions measured again under it."""

from pathlib import Path

from harc.core.artifacts import ADAPTER_FILES, BASE, DIRECTION_FILES
from harc.settings.methods import list_objective_code
from harc.steps.extract_directions import count_layers
from harc.steps.models import find_base_directions, list_backbone_files, list_method_files
from harc.steps.pipeline import Job

ROWS = ("training.jsonl", "extraction.jsonl", "extraction_pairs.jsonl")


def list_plugins(job: Job) -> list[str]:
    """The method's objective: changing it trains the methods that use it again and no others."""
    return list_objective_code(job.profile.choose_training(job.backbone, job.method))


def select_settings(job: Job) -> dict:
    """The method, and how directions are read."""
    return {
        "method": job.profile.choose_training(job.backbone, job.method).model_dump(mode="json"),
        "directions": job.profile.directions.model_dump(mode="json"),
        "k": count_layers(job),
    }


def find_start(job: Job) -> str | None:
    """The method whose adapter training starts from, where there is one."""
    return job.profile.choose_training(job.backbone, job.method).start_from


def list_inputs(job: Job) -> list[Path]:
    """The backbone, its directions, the training and extraction splits, the adapter that training starts from."""
    return [
        *list_backbone_files(job),
        find_base_directions(job),
        *(job.profile.data_dir / name for name in ROWS),
        *list_method_files(job, find_start(job) or BASE),
    ]


def list_outputs(job: Job) -> list[Path]:
    """The adapter's folder, its files, and the directions under it."""
    geometry = job.layout.directions(job.backbone, job.method, job.seed)
    adapter = job.layout.adapter(job.backbone, job.method, job.seed)
    files = [adapter / name for name in ADAPTER_FILES]
    return [adapter, *files, *(geometry / name for name in DIRECTION_FILES)]


def run(job: Job) -> None:
    """Train, resuming from a checkpoint if there is one; then measure the directions on the trained model."""
    from harc.core.files import read_jsonl
    from harc.geometry.directions import load_directions
    from harc.steps.models import find_model
    from harc.steps.reading import read_extraction_rows, write_directions
    from harc.training.run import train_adapter

    unit, start = (job.backbone, job.method, job.seed), find_start(job)
    extraction = read_extraction_rows(job.profile.data_dir)
    train_adapter(
        find_model(job).open(),
        read_jsonl(job.profile.data_dir / "training.jsonl", ("category", "prompt", "response")),
        *extraction,
        load_directions(find_base_directions(job)),
        job.profile.choose_training(job.backbone, job.method),
        job.seed,
        job.layout.adapter(*unit),
        job.layout.checkpoint("training", *unit),
        direction_settings=job.profile.directions,
        start_from=None if start is None else job.layout.adapter(job.backbone, start, job.seed),
    )
    adapted = find_model(job, job.method).open()
    target = job.layout.directions(*unit)
    write_directions(adapted, extraction, job.profile.directions, count_layers(job), target)
