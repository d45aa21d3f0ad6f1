"""Step choose_point: one method's point by the declared criterion, over all backbones and seeds that were tried."""

from pathlib import Path

from harc.core.artifacts import BASE
from harc.steps.pipeline import Job


def select_settings(job: Job) -> dict:
    """The criterion, and the method's own grid, whose chosen point is written down."""
    tuning = job.profile.tuning.model_dump(mode="json")
    return {"tuning": {**tuning, "grids": {job.method: tuning["grids"][job.method]}}}


def list_inputs(job: Job) -> list[Path]:
    """Points of the method and of the base, on every backbone and seed."""
    return [
        job.layout.points(backbone, method, seed)
        for method in (job.method, BASE)
        for backbone in job.profile.backbones
        for seed in job.profile.tuning.seeds
    ]


def list_outputs(job: Job) -> list[Path]:
    """The choice."""
    return [job.layout.choice(job.method)]


def run(job: Job) -> None:
    """Choose, and write the choice with all candidates."""
    from dataclasses import asdict

    from harc.core.files import write_json
    from harc.evaluation.score import read_csv
    from harc.evaluation.tuning import choose_point, judge_points

    rows = [row for path in list_inputs(job) for row in read_csv(path)]
    own, base = ([row for row in rows if row["method"] == name] for name in (job.method, BASE))
    choice = choose_point(job.method, own, base, job.profile.tuning)
    judged = [asdict(candidate) for candidate in judge_points(job.method, own, base, job.profile.tuning)]
    changes = job.profile.tuning.grids[job.method][choice.point]
    write_json(list_outputs(job)[0], {**asdict(choice), "changes": changes, "candidates": judged})
