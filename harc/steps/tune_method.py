"""Step tune_method: every point of a method's grid on one backbone, measured on development prompts; base: no point."""

from pathlib import Path
from typing import Any

from harc.core.artifacts import BASE
from harc.settings.methods import list_objective_code
from harc.settings.training import MethodSettings
from harc.steps.models import find_base_directions, list_backbone_files
from harc.steps.pipeline import Job

ROWS = (
    "training.jsonl",
    "extraction.jsonl",
    "extraction_pairs.jsonl",
    "development.jsonl",
    "world.json",
)


def list_plugins(job: Job) -> list[str]:
    """The objectives of the points, and of the method that a composed one starts from and that is trained here too."""
    start = find_start(job)
    first = None if start is None else job.profile.find_method(start)
    return list_objective_code(first, *(settings for _, settings in list_points(job)))


def list_points(job: Job) -> list[tuple[dict[str, Any], MethodSettings]]:
    """(changes, settings) of every point; none for the base."""
    changes = job.profile.tuning.grids.get(job.method, ())
    return [(change, job.profile.compose_point(job.backbone, job.method, change)) for change in changes]


def select_settings(job: Job) -> dict:
    """The points, how directions are read, how answers are counted."""
    return {
        "points": [settings.model_dump(mode="json") for _, settings in list_points(job)],
        "directions": job.profile.directions.model_dump(mode="json"),
        "evaluation": job.profile.evaluation.model_dump(mode="json"),
    }


def find_start(job: Job) -> str | None:
    """The method whose chosen point comes first; None for methods that start from the base."""
    return None if job.method == BASE else job.profile.methods[job.method].start_from


def list_inputs(job: Job) -> list[Path]:
    """The backbone, its directions (not for the base), the splits trained and tried on, the choice to start from."""
    start = find_start(job)
    return [
        *list_backbone_files(job),
        *([] if job.method == BASE else [find_base_directions(job)]),
        *(job.profile.data_dir / name for name in ROWS),
        *([] if start is None else [job.layout.choice(start)]),
    ]


def list_outputs(job: Job) -> list[Path]:
    """points.csv."""
    return [job.layout.points(job.backbone, job.method, job.seed)]


def run(job: Job) -> None:
    """Try the points; those finished before a kill are kept."""
    from harc.evaluation.bench import Bench
    from harc.evaluation.score import write_csv
    from harc.evaluation.tuning import COLUMNS, run_grid
    from harc.steps.models import find_model

    bench = Bench(
        find_model(job),
        job.profile.data_dir,
        job.profile.evaluation,
        job.seed,
        directions=find_base_directions(job),
        reading=job.profile.directions,
    )
    rows = run_grid(
        bench,
        job.label,
        list_points(job),
        job.layout.checkpoint("tuning", job.backbone, job.method, job.seed),
        start=_read_start(job),
    )
    names = {"backbone": job.backbone, "method": job.method, "seed": job.seed}
    write_csv(list_outputs(job)[0], COLUMNS, [{**names, **row} for row in rows])


def _read_start(job: Job) -> MethodSettings | None:
    """Settings of the method to start from, at its chosen point."""
    from harc.core.files import read_json

    start = find_start(job)
    if start is None:
        return None
    return job.profile.compose_point(job.backbone, start, read_json(job.layout.choice(start))["changes"])
