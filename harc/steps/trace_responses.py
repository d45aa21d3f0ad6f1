"""Step trace_responses: a model's recorded answers read again, every token projected onto the base's directions."""

from pathlib import Path

from harc.core.artifacts import BASE, TRAJECTORY_FILES
from harc.evaluation.projecting import list_trace_suites
from harc.steps.models import find_base_directions, list_model_files
from harc.steps.pipeline import Job


def select_settings(job: Job) -> dict:
    """Which answers are read, and whose labels sort them."""
    settings = job.profile.trajectories.model_dump(mode="json", exclude={"methods"})
    suites = list_trace_suites(job.profile.evaluation.suites)
    return {"trajectories": settings, "suites": suites, "judges": list(job.profile.evaluation.judges)}


def list_answers(job: Job, method: str) -> list[Path]:
    """Generations of a method that may be read."""
    folder = job.layout.generations(job.backbone, method, job.seed)
    return [folder / f"{suite}.jsonl" for suite in list_trace_suites(job.profile.evaluation.suites)]


def list_inputs(job: Job) -> list[Path]:
    """The model, the base's directions, the model's generations and the base's."""
    return [
        *list_model_files(job),
        find_base_directions(job),
        *(path for method in dict.fromkeys((job.method, BASE)) for path in list_answers(job, method)),
    ]


def list_outputs(job: Job) -> list[Path]:
    """The folder of trajectories, and its files."""
    folder = job.layout.trajectories(job.backbone, job.method, job.seed)
    return [folder, *(folder / name for name in TRAJECTORY_FILES)]


def run(job: Job) -> None:
    """Read the answers and write their trajectories."""
    from harc.core.files import read_jsonl
    from harc.evaluation.projecting import choose_all, write_trajectories
    from harc.steps.models import find_model

    fields = ("id", "suite", "messages", "response", "verdicts")
    own, base = (
        [record for path in list_answers(job, method) for record in read_jsonl(path, fields)]
        for method in (job.method, BASE)
    )
    settings = job.profile.trajectories
    others = None if job.method == BASE else base
    chosen = choose_all(own, others, job.profile.evaluation.judges, settings.prompts_per_class)
    write_trajectories(
        find_model(job, job.method).open(fold=True),
        chosen,
        find_base_directions(job),
        list_outputs(job)[0],
        settings,
    )
