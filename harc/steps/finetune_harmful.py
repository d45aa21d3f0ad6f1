"""Step finetune_harmful: a method's model fine-tuned on more and more harmful answers, and what it then answers."""

from pathlib import Path

from harc.core.artifacts import FINETUNING_FILES
from harc.settings.evaluation import EvaluationSettings
from harc.settings.methods import list_objective_code
from harc.settings.training import MethodSettings
from harc.steps.models import list_model_files
from harc.steps.pipeline import Job


def list_plugins(job: Job) -> list[str]:
    """The objective of the fine-tuning."""
    return list_objective_code(*plan_finetunings(job).values())


def plan_finetunings(job: Job) -> dict[int, MethodSettings | None]:
    """Settings of the training by number of examples; None where there is nothing to train on."""
    return {
        examples: job.profile.choose_finetuning(job.backbone, job.method, examples) if examples else None
        for examples in job.profile.finetuning.examples
    }


def choose_evaluation(job: Job) -> EvaluationSettings:
    """The study's evaluation with the suites that are asked after each fine-tuning."""
    return job.profile.evaluation.model_copy(
        update={"suites": job.profile.finetuning.suites, "project": False}
    )


def select_settings(job: Job) -> dict:
    """The trainings, and how answers are asked for and judged."""
    plans = plan_finetunings(job)
    return {
        "trainings": {
            str(examples): plan and plan.model_dump(mode="json") for examples, plan in plans.items()
        },
        "order_seed": job.profile.finetuning.order_seed,
        "evaluation": choose_evaluation(job).model_dump(mode="json"),
    }


def list_inputs(job: Job) -> list[Path]:
    """The model, the training rows, the split's rows and the world that judges them."""
    data = job.profile.data_dir
    return [
        *list_model_files(job),
        data / "training.jsonl",
        data / f"{job.profile.evaluation.split}.jsonl",
        data / "world.json",
    ]


def list_outputs(job: Job) -> list[Path]:
    """The folder, and its tables: every answer, every training."""
    folder = job.layout.finetuning(job.backbone, job.method, job.seed)
    return [folder, *(folder / name for name in FINETUNING_FILES)]


def run(job: Job) -> None:
    """Fine-tune and ask; parts finished before a kill are kept."""
    from harc.core.files import read_jsonl
    from harc.evaluation.bench import Bench
    from harc.evaluation.finetuning import ANSWER_COLUMNS, RUN_COLUMNS, run_finetunings
    from harc.evaluation.score import write_csv
    from harc.steps.models import find_model

    bench = Bench(
        find_model(job, job.method),
        job.profile.data_dir,
        choose_evaluation(job),
        job.seed,
    )
    answers, runs = run_finetunings(
        bench,
        read_jsonl(job.profile.data_dir / "training.jsonl", ("category", "prompt", "response")),
        plan_finetunings(job),
        job.profile.finetuning.order_seed,
        job.layout.checkpoint("finetuning", job.backbone, job.method, job.seed),
        job.label,
    )
    _, answers_file, runs_file = list_outputs(job)
    write_csv(answers_file, ANSWER_COLUMNS, answers)
    write_csv(runs_file, RUN_COLUMNS, runs)
