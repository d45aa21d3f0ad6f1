"""Step suppress_refusal: a method's model is asked while directions of refusal are taken out of its residual stream."""

from pathlib import Path

from harc.core.artifacts import SUPPRESSION_FILES
from harc.core.errors import ConfigError, DataError
from harc.settings.evaluation import EvaluationSettings
from harc.settings.profile import Profile
from harc.settings.suppression import SuppressionSettings
from harc.steps.data import list_asked_rows, list_rows
from harc.steps.job import RUN, Job, Step, run_on_model, within
from harc.steps.judging import find_parameters, list_parameters
from harc.steps.models import find_base_directions, list_model_files

SEARCHED = "development.jsonl"  # rows that the depth is chosen on
SEARCH_SUITE = "direct"


def select_suppression(job: Job) -> dict:
    """What is taken out, how directions are read, how answers are judged."""
    settings = job.profile.suppression
    own = settings and settings.model_dump(mode="json", exclude={"methods", "seeds"})
    return {"suppression": own, **job.dump("evaluation", "directions")}


def find_own_directions(job: Job) -> Path:
    """The directions that were measured on the job's model."""
    return job.layout.directions(*job.unit) / "directions.safetensors"


def list_suppression_inputs(job: Job) -> list[Path]:
    """The model, its directions and the base's, the rows that are asked, searched and read."""
    files = [
        *list_model_files(job),
        find_own_directions(job),
        find_base_directions(job),
        *list_asked_rows(job),
        *list_rows(job, SEARCHED, "extraction.jsonl"),
        *list_parameters(job),
    ]
    return list(dict.fromkeys(files))


def need_settings(job: Job) -> SuppressionSettings:
    """The profile's section.

    Raises:
        ConfigError: if it has none.
    """
    if job.profile.suppression is None:
        raise ConfigError(
            f"{job.profile.source}: suppression", expected="a section", found="none", fix="name methods in it"
        )
    return job.profile.suppression


def choose_evaluation(job: Job) -> EvaluationSettings:
    """The study's evaluation with the suites and the longest response of the suppression."""
    own = need_settings(job)
    suites = tuple(dict.fromkeys([*own.suites, *([own.benign_suite] if own.benign_prompts else [])]))
    changes = {"suites": suites, "max_new_tokens": own.max_new_tokens, "project": False}
    return job.profile.evaluation.model_copy(update=changes)


def read_sides(extraction: Path) -> tuple[list[str], list[str]]:
    """Harmful and harmless extraction prompts.

    Raises:
        DataError: without either.
    """
    from harc.core.files import read_jsonl

    prompts = read_jsonl(extraction, ("category", "prompt"))
    harmful, harmless = (
        [row["prompt"] for row in prompts if row["category"] == name] for name in ("harmful", "harmless")
    )
    if not harmful or not harmless:
        raise DataError(
            str(extraction),
            expected="harmful and harmless prompts",
            found=f"{len(harmful)} and {len(harmless)}",
            fix="give both",
        )
    return harmful, harmless


def run_suppress_refusal(job: Job) -> None:
    """Ask under every condition; finished conditions survive a kill.

    Raises:
        DataError: without rows of a suite, or of either kind of extraction prompts.
    """
    from harc.core.files import sha256_file
    from harc.core.finished import KEPT, KeyedStore, describe_work
    from harc.evaluation.run import read_refusal
    from harc.evaluation.suppression import Suppression, make_card, run_suppression, write_suppression
    from harc.geometry.directions import load_directions
    from harc.judges.registry import make_judges
    from harc.steps.models import find_model
    from harc.suites.examiner import make_examiner, name_run
    from harc.suites.rows import read_rows
    from harc.suites.target import Target

    settings, evaluation, model = need_settings(job), choose_evaluation(job), find_model(job, job.method)
    asked, world = list_asked_rows(job)
    searched, extraction = list_rows(job, SEARCHED, "extraction.jsonl")
    directions = (find_own_directions(job), find_base_directions(job))
    work = describe_work(
        [f"{__name__}:run_suppress_refusal"],
        model=model.identify(),
        files=[
            sha256_file(path) for path in (asked, searched, extraction, *directions, *list_parameters(job))
        ],
        suppression=settings.model_dump(mode="json", exclude={"methods", "seeds", "conditions"}),
        evaluation=evaluation,
        reading=job.profile.directions,
        seed=job.stream,
    )
    store = KeyedStore(job.layout.checkpoint("suppression", *job.unit) / KEPT, work | name_run(evaluation))
    refusal = read_refusal(world, evaluation.judges)
    judges = make_judges(evaluation.judges, refusal, evaluation, find_parameters(job))
    subject = Suppression(
        target=Target(model.open(fold=True), evaluation),
        examiner=make_examiner(judges, evaluation, job.stream, evaluation.suites),
        rows=read_rows(asked, evaluation.suites),
        search_rows=read_rows(searched, [SEARCH_SUITE])[SEARCH_SUITE],
        prompts=read_sides(extraction),
        own=load_directions(directions[0]),
        base=load_directions(directions[1]),
        settings=settings,
        reading=job.profile.directions,
        store=store,
        seed=job.stream,
    )
    records, lines, choice = run_suppression(subject, job.label)
    stability = subject.keep("stability", subject.measure_stability)
    card = make_card(stability, choice["slot"], settings.stability)
    folder = job.layout.suppression(*job.unit)
    write_suppression(folder, records, lines, choice, stability, card)
    store.remove()


SUPPRESS_REFUSAL = Step(
    "suppress_refusal",
    f"{__name__}:run_suppress_refusal",
    list_outputs=lambda job: within(job.layout.suppression(*job.unit), SUPPRESSION_FILES),
    unit=RUN,
    list_units=Profile.list_suppressed_units,
    list_inputs=list_suppression_inputs,
    select_settings=select_suppression,
    resources=run_on_model(240),
    needs=("endpoints",),
    guarded=True,
)
