"""Step score: outcomes and scores of one method, a pure function of its generations."""

from pathlib import Path

from harc.pipeline import Job


def select_settings(job: Job) -> dict:
    """How answers are counted."""
    return {"evaluation": job.profile.evaluation.model_dump(mode="json")}


def list_inputs(job: Job) -> list[Path]:
    """The method's generations."""
    return [job.layout.generations(job.backbone, job.method, job.seed)]


def list_outputs(job: Job) -> list[Path]:
    """The method's scores folder."""
    return [job.layout.scores(job.backbone, job.method, job.seed)]


def run(job: Job) -> None:
    """Write outcomes.csv and scores.csv."""
    from harc.evaluation.score import score_generations

    score_generations(list_inputs(job)[0], list_outputs(job)[0], job.profile.evaluation)
