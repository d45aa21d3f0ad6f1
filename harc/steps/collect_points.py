"""Step collect_points: all points of all methods in one table, and the chosen settings as a part of a profile."""

from pathlib import Path

from harc.steps.pipeline import Job, list_tuning_jobs, load_step


def list_plugins(job: Job) -> list[str]:
    """Which files there are is what the steps of tuning say of their outputs."""
    return ["harc.steps.tune_method:list_outputs", "harc.steps.choose_point:list_outputs"]


def select_settings(job: Job) -> dict:
    """The grids and the criterion."""
    return {"tuning": job.profile.tuning.model_dump(mode="json")}


def list_inputs(job: Job) -> list[Path]:
    """Every points.csv and every choice."""
    others = [other for other in list_tuning_jobs(job.profile, job.layout) if other.step != job.step]
    return [path for other in others for path in load_step(other.step).list_outputs(other)]


def list_outputs(job: Job) -> list[Path]:
    """tuned.yaml, points.csv."""
    return [job.layout.tuning / "tuned.yaml", job.layout.tuning / "points.csv"]


def run(job: Job) -> None:
    """Write both."""
    from harc.core.files import read_json, write_text
    from harc.evaluation.score import read_csv, write_csv
    from harc.evaluation.tuning import COLUMNS, format_tuned

    tuned, points = list_outputs(job)
    tables = [path for path in list_inputs(job) if path.suffix == ".csv"]
    write_csv(points, COLUMNS, [row for path in tables for row in read_csv(path)])
    choices = {method: read_json(job.layout.choice(method)) for method in job.profile.tuning.grids}
    write_text(tuned, format_tuned(choices, job.profile.tuning))
