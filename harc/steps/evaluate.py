"""Step evaluate: every suite on one model in one process, and its projections onto the base's directions."""

from pathlib import Path

from harc.core.artifacts import PROJECTION_FILES
from harc.steps.models import find_base_directions, list_model_files
from harc.steps.pipeline import Job


def select_settings(job: Job) -> dict:
    """What is asked and how it is answered."""
    return {"evaluation": job.profile.evaluation.model_dump(mode="json")}


def list_inputs(job: Job) -> list[Path]:
    """The model, the base's directions, the split's rows and the world that judges them."""
    data = job.profile.data_dir
    return [
        *list_model_files(job),
        find_base_directions(job),
        data / f"{job.profile.evaluation.split}.jsonl",
        data / "world.json",
    ]


def list_outputs(job: Job) -> list[Path]:
    """The folder of generations, a file for each suite, and the projections."""
    geometry = job.layout.directions(job.backbone, job.method, job.seed)
    generations = job.layout.generations(job.backbone, job.method, job.seed)
    suites = [generations / f"{suite}.jsonl" for suite in job.profile.evaluation.suites]
    return [generations, *suites, *(geometry / name for name in PROJECTION_FILES)]


def run(job: Job) -> None:
    """Evaluate; finished suites survive a kill."""
    from harc.evaluation.run import EvaluationPaths, evaluate_backbone
    from harc.steps.models import find_model

    layout, unit = job.layout, (job.backbone, job.method, job.seed)
    data = job.profile.data_dir
    paths = EvaluationPaths(
        model=find_model(job, job.method),
        data=data / f"{job.profile.evaluation.split}.jsonl",
        world=data / "world.json",
        directions=find_base_directions(job),
        generations=layout.generations(*unit),
        projections=layout.directions(*unit),
        checkpoint=layout.checkpoint("evaluation", *unit),
    )
    evaluate_backbone(paths, job.profile.evaluation, seed=job.seed)
