"""Step score: outcomes and scores of one method, a pure function of its generations."""

from pathlib import Path

from harc.core.artifacts import SCORE_FILES
from harc.steps.pipeline import Job


def select_settings(job: Job) -> dict:
    """How answers are counted."""
    return {"evaluation": job.profile.evaluation.model_dump(mode="json")}


def list_inputs(job: Job) -> list[Path]:
    """The method's generations."""
    folder = job.layout.generations(job.backbone, job.method, job.seed)
    return [folder / f"{suite}.jsonl" for suite in job.profile.evaluation.suites]


def list_outputs(job: Job) -> list[Path]:
    """The method's scores folder, and its files."""
    folder = job.layout.scores(job.backbone, job.method, job.seed)
    return [folder, *(folder / name for name in SCORE_FILES)]


def run(job: Job) -> None:
    """Write outcomes.csv and scores.csv."""
    from harc.evaluation.score import score_generations

    unit = (job.backbone, job.method, job.seed)
    score_generations(job.layout.generations(*unit), job.layout.scores(*unit), job.profile.evaluation)
