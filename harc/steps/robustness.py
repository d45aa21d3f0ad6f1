"""Steps on robustness: trace_responses reads answers again by token; finetune_harmful and erode_refusal train on."""

from pathlib import Path

from harc.core.artifacts import BASE, EROSION_FILES, FINETUNING_FILES, TRAJECTORY_FILES
from harc.settings.evaluation import EvaluationSettings
from harc.settings.methods import list_objective_code
from harc.settings.profile import Profile
from harc.settings.robustness import FinetuningSettings
from harc.settings.training import MethodSettings
from harc.steps.data import list_asked_rows, list_rows
from harc.steps.job import RUN, Job, Step, run_on_model, within
from harc.steps.judging import find_parameters, list_parameters
from harc.steps.models import find_base_directions, list_model_files
from harc.steps.training import TRAINING_FIELDS, read_training_rows


def find_suites(job: Job) -> list[str]:
    """Suites whose answers may be read again."""
    from harc.evaluation.projecting import list_trace_suites

    return list_trace_suites(job.profile.evaluation.suites)


def list_answers(job: Job, method: str) -> list[Path]:
    """Generations of a method that may be read."""
    seed = job.weights_seed if method == BASE else job.seed
    folder = job.layout.generations(job.backbone, method, seed)
    return [folder / f"{suite}.jsonl" for suite in find_suites(job)]


def select_trajectories(job: Job) -> dict:
    """Which answers are read, and whose labels sort them."""
    settings = job.profile.trajectories.model_dump(mode="json", exclude={"methods"})
    judges = list(job.profile.evaluation.judges)
    return {"trajectories": settings, "suites": find_suites(job), "judges": judges}


def list_tracing_inputs(job: Job) -> list[Path]:
    """The model, the base's directions, the model's generations and the base's."""
    methods = dict.fromkeys((job.method, BASE))
    answers = [path for method in methods for path in list_answers(job, method)]
    return [*list_model_files(job), find_base_directions(job), *answers]


def run_trace_responses(job: Job) -> None:
    """Read the answers again, every token projected onto the base's directions, and write their trajectories."""
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
        job.layout.trajectories(*job.unit),
        settings,
    )


TRACE_RESPONSES = Step(
    "trace_responses",
    f"{__name__}:run_trace_responses",
    list_outputs=lambda job: within(job.layout.trajectories(*job.unit), TRAJECTORY_FILES),
    unit=RUN,
    list_units=Profile.list_traced_units,
    list_inputs=list_tracing_inputs,
    select_settings=select_trajectories,
    resources=run_on_model(60),
)


def plan_finetunings(job: Job, own: FinetuningSettings) -> dict[int, MethodSettings | None]:
    """Settings of the training by number of examples; None where there is nothing to train on."""
    return {
        examples: job.profile.choose_finetuning(own, job.backbone, job.method, examples) if examples else None
        for examples in own.examples
    }


def choose_evaluation(job: Job, own: FinetuningSettings) -> EvaluationSettings:
    """The study's evaluation with the suites that are asked after each fine-tuning."""
    return job.profile.evaluation.model_copy(update={"suites": own.suites, "project": False})


def select_finetunings(job: Job, own: FinetuningSettings) -> dict:
    """The trainings, and how answers are asked for and judged."""
    return {
        "trainings": {
            str(examples): plan and plan.model_dump(mode="json")
            for examples, plan in plan_finetunings(job, own).items()
        },
        "order_seed": own.order_seed,
        "evaluation": choose_evaluation(job, own).model_dump(mode="json"),
    }


def finetune(
    job: Job, own: FinetuningSettings, rows: list[dict], kept: Path
) -> tuple[list[dict], list[dict]]:
    """Fine-tune on more and more rows and ask each time; parts finished before a kill are kept."""
    from harc.evaluation.bench import Bench
    from harc.evaluation.finetuning import run_finetunings
    from harc.steps.models import find_model

    bench = Bench(
        find_model(job, job.method),
        job.profile.data_dir,
        choose_evaluation(job, own),
        job.stream,
        parameters=find_parameters(job),
    )
    return run_finetunings(
        bench, rows, plan_finetunings(job, own), own.order_seed, kept, job.label, own.category
    )


def run_finetune_harmful(job: Job) -> None:
    """Fine-tune on harmful answers, and write the answers."""
    from harc.core.csv_files import write_csv
    from harc.evaluation.finetuning import ANSWER_COLUMNS, RUN_COLUMNS

    kept = job.layout.checkpoint("finetuning", *job.unit)
    answers, runs = finetune(job, job.profile.finetuning, read_training_rows(job), kept)
    folder = job.layout.finetuning(*job.unit)
    write_csv(folder / "answers.csv", ANSWER_COLUMNS, answers)
    write_csv(folder / "runs.csv", RUN_COLUMNS, runs)


FINETUNE_HARMFUL = Step(
    "finetune_harmful",
    f"{__name__}:run_finetune_harmful",
    list_outputs=lambda job: within(job.layout.finetuning(*job.unit), FINETUNING_FILES),
    unit=RUN,
    list_units=lambda profile: profile.list_finetuned_units(profile.finetuning),
    list_inputs=lambda job: [
        *list_model_files(job),
        *list_rows(job, "training.jsonl"),
        *list_asked_rows(job),
        *list_parameters(job),
    ],
    list_plugins=lambda job: list_objective_code(*plan_finetunings(job, job.profile.finetuning).values()),
    select_settings=lambda job: select_finetunings(job, job.profile.finetuning),
    resources=run_on_model(240),
    guarded=True,
)


def find_given_rows(job: Job) -> Path:
    """Training rows with the answers that people gave: a model's own would teach it nothing new."""
    return job.profile.data_dir / "training.jsonl"


def run_erode_refusal(job: Job) -> None:
    """Fine-tune on benign answers; of what the model then answers, texts stand in a file of their own."""
    from harc.core.csv_files import write_csv
    from harc.core.files import read_jsonl, sha256_text, write_jsonl
    from harc.evaluation.finetuning import ANSWER_COLUMNS, RUN_COLUMNS
    from harc.suites.records import is_blank

    rows = read_jsonl(find_given_rows(job), TRAINING_FIELDS)
    kept = job.layout.checkpoint("erosion", *job.unit)
    answers, runs = finetune(job, job.profile.erosion, rows, kept)
    folder, told = job.layout.erosion(*job.unit), (*ANSWER_COLUMNS[:-1], "empty", "response_sha256")
    outcomes = [
        row
        | {
            "goal": sha256_text(row["goal"]) if row["goal"] else "",  # it may be the request itself
            "empty": "1" if is_blank(row["response"]) else "",
            "response_sha256": sha256_text(row["response"]),
        }
        for row in answers
    ]
    write_csv(folder / "answers.csv", told, [{name: row[name] for name in told} for row in outcomes])
    texts = ("examples", "suite", "id", "response")
    write_jsonl(folder / "texts.jsonl", [{name: row[name] for name in texts} for row in answers])
    write_csv(folder / "runs.csv", RUN_COLUMNS, runs)


ERODE_REFUSAL = Step(
    "erode_refusal",
    f"{__name__}:run_erode_refusal",
    list_outputs=lambda job: within(job.layout.erosion(*job.unit), EROSION_FILES),
    unit=RUN,
    list_units=lambda profile: profile.list_finetuned_units(profile.erosion),
    list_inputs=lambda job: [
        *list_model_files(job),
        find_given_rows(job),
        *list_asked_rows(job),
        *list_parameters(job),
    ],
    list_plugins=lambda job: list_objective_code(*plan_finetunings(job, job.profile.erosion).values()),
    select_settings=lambda job: select_finetunings(job, job.profile.erosion),
    resources=run_on_model(240),
    guarded=True,
)
