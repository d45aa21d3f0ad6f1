"""The model behind a job with a method on it, and its directions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from harc.adapted import load_adapted
from harc.pipeline import Job
from harc.steps.extract_directions import count_layers
from harc.steps.models import find_weights
from harc.steps.reading import read_extraction_rows, write_directions


def open_adapted(job: Job) -> Any:
    """Load the job's backbone with its method's adapter or steering on; a `harc.backbones.Backbone`."""
    weights = find_weights(job)
    folder = job.layout.adapter(job.backbone, job.method, job.seed)
    backbone = load_adapted(weights.folder, folder, dtype=weights.dtype, device=weights.device)
    return replace(backbone, source=weights.name, revision=weights.revision)


def measure_directions(job: Job, out_dir: Path) -> None:
    """Read the directions again with the method on, and write them with their layer scores."""
    rows = read_extraction_rows(job.profile.data_dir)
    write_directions(open_adapted(job), rows, job.profile.directions, count_layers(job), out_dir)
