"""Steps that ask models: evaluate (every suite), score (of what evaluate left), measure_helpfulness (benchmarks)."""

from pathlib import Path

from harc.core.artifacts import PROJECTION_FILES, SCORE_FILES
from harc.settings.profile import Profile
from harc.steps.data import list_asked_rows, list_registry
from harc.steps.job import RUN, Job, Step, run_on_model, within
from harc.steps.judging import find_parameters, list_parameters
from harc.steps.models import find_base_directions, list_model_files
from harc.suites.benchmarks import list_datasets, list_output_names


def list_generations(job: Job) -> list[Path]:
    """The folder of a model's answers, and a file for each suite."""
    suites = [f"{suite}.jsonl" for suite in job.profile.evaluation.suites]
    return within(job.layout.generations(*job.unit), suites)


def list_evaluation_outputs(job: Job) -> list[Path]:
    """The generations, and the projections onto the base's directions."""
    geometry = job.layout.directions(*job.unit)
    return [*list_generations(job), *(geometry / name for name in PROJECTION_FILES)]


def run_evaluate(job: Job) -> None:
    """Ask every suite in one process; finished suites survive a kill."""
    from harc.evaluation.run import EvaluationPaths, evaluate_backbone
    from harc.steps.models import find_model

    layout = job.layout
    rows, world = list_asked_rows(job)
    paths = EvaluationPaths(
        model=find_model(job, job.method),
        data=rows,
        world=world,
        directions=find_base_directions(job),
        generations=layout.generations(*job.unit),
        projections=layout.directions(*job.unit),
        checkpoint=layout.checkpoint("evaluation", *job.unit),
        parameters=find_parameters(job),
    )
    evaluate_backbone(paths, job.profile.evaluation, seed=job.stream)


EVALUATE = Step(
    "evaluate",
    f"{__name__}:run_evaluate",
    list_outputs=list_evaluation_outputs,
    unit=RUN,
    list_units=Profile.list_units,
    list_inputs=lambda job: [
        *list_model_files(job),
        find_base_directions(job),
        *list_asked_rows(job),
        *list_parameters(job),
    ],
    select_settings=lambda job: job.dump("evaluation"),
    resources=run_on_model(240),
    needs=("endpoints",),
)


def run_score(job: Job) -> None:
    """Write outcomes.csv and scores.csv, a pure function of the generations."""
    from harc.evaluation.score import score_generations

    score_generations(job.layout.generations(*job.unit), job.layout.scores(*job.unit), job.profile.evaluation)


SCORE = Step(
    "score",
    f"{__name__}:run_score",
    list_outputs=lambda job: within(job.layout.scores(*job.unit), SCORE_FILES),
    unit=RUN,
    list_units=Profile.list_units,
    list_inputs=lambda job: list_generations(job)[1:],
    select_settings=lambda job: job.dump("evaluation"),
    pure=True,
)


def select_benchmarks(job: Job) -> dict:
    """Which benchmarks and how they are asked."""
    settings = job.profile.helpfulness
    return {"helpfulness": settings and settings.model_dump(mode="json", exclude={"batch_size"})}


def list_benchmark_outputs(job: Job) -> list[Path]:
    """The folder of records and scores, and its files."""
    return within(job.layout.helpfulness(*job.unit), list_output_names(job.profile.helpfulness))


def run_measure_helpfulness(job: Job) -> None:
    """Fetch what is local and missing, then ask every benchmark; finished ones survive a kill.

    Raises:
        EnvironmentProblem: without a sandbox for HumanEval, or a file that cannot be fetched.
    """
    from harc.core.finished import KEPT, KeyedStore
    from harc.data.fetch import fetch_for
    from harc.evaluation.helpfulness import describe_run, make_settings, measure_helpfulness
    from harc.evaluation.run import load_target
    from harc.steps.models import find_model

    settings, data, model = job.profile.helpfulness, job.profile.data, find_model(job, job.method)
    if needed := list_datasets(settings):
        fetch_for(data, needed, job.mirror)
    checkpoint = job.layout.checkpoint("helpfulness", *job.unit)
    store = KeyedStore(checkpoint / KEPT, describe_run(settings, model.identify(), job.stream))
    target, folder = load_target(model, make_settings(settings)), job.layout.helpfulness(*job.unit)
    measure_helpfulness(target, settings, store, data.public_dir, folder, seed=job.stream)


MEASURE_HELPFULNESS = Step(
    "measure_helpfulness",
    f"{__name__}:run_measure_helpfulness",
    list_outputs=list_benchmark_outputs,
    unit=RUN,
    list_units=Profile.list_helpfulness_units,
    list_inputs=lambda job: [*list_model_files(job), *list_registry(job)],
    select_settings=select_benchmarks,
    resources=run_on_model(600),
    needs=("benchmarks",),
)
