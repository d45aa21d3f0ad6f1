"""The steps of the workflow, each declared once, in an order in which they can run; rules and jobs come from here."""

from harc.core.artifacts import Layout
from harc.settings.profile import Profile
from harc.steps.analysis import MAKE_FIGURE, MAKE_TABLES, TABULATE_COMPUTE
from harc.steps.answers import WRITE_ANSWERS
from harc.steps.audit import AUDIT, SEAL_RESULTS
from harc.steps.backbones import FETCH_BACKBONE, TRAIN_BACKBONE
from harc.steps.data import CHECK_CONTAMINATION, PULL_DATA
from harc.steps.directions import EXTRACT_DIRECTIONS
from harc.steps.evaluation import EVALUATE, MEASURE_HELPFULNESS, SCORE
from harc.steps.job import Job, Step
from harc.steps.judging import TRAIN_JUDGE
from harc.steps.paper import BUILD_PAPER, BUILD_REPORT, find_latex
from harc.steps.robustness import ERODE_REFUSAL, FINETUNE_HARMFUL, TRACE_RESPONSES
from harc.steps.suppression import SUPPRESS_REFUSAL
from harc.steps.training import FIT_STEERING, TRAIN_ADAPTER
from harc.steps.tuning import CHOOSE_POINT, COLLECT_POINTS, TUNE_METHOD
from harc.steps.warm_start import MERGE_WARM_START, WARM_START

STEPS: dict[str, Step] = {
    step.name: step
    for step in (
        PULL_DATA,
        CHECK_CONTAMINATION,
        TRAIN_BACKBONE,
        FETCH_BACKBONE,
        TRAIN_JUDGE,
        WARM_START,
        MERGE_WARM_START,
        WRITE_ANSWERS,
        EXTRACT_DIRECTIONS,
        TRAIN_ADAPTER,
        FIT_STEERING,
        TUNE_METHOD,
        CHOOSE_POINT,
        COLLECT_POINTS,
        EVALUATE,
        SCORE,
        TRACE_RESPONSES,
        FINETUNE_HARMFUL,
        ERODE_REFUSAL,
        SUPPRESS_REFUSAL,
        MEASURE_HELPFULNESS,
        MAKE_TABLES,
        MAKE_FIGURE,
        TABULATE_COMPUTE,
        SEAL_RESULTS,
        BUILD_PAPER,
        BUILD_REPORT,
        AUDIT,
    )
}


def list_jobs_of(step: Step, profile: Profile, layout: Layout) -> list[Job]:
    """Every job of one step."""
    units = (dict(zip(step.unit, unit, strict=True)) for unit in step.list_units(profile))
    return [Job(step.name, profile, layout, **unit) for unit in units]


def list_jobs(profile: Profile, layout: Layout, part: str = "run") -> list[Job]:
    """Every job that leaves an artifact in a profile's tree, in an order in which they can run.

    Args:
        profile: the profile.
        layout: its tree.
        part: `run`; `tuning`: every point and what is chosen from them, none without grids; `end`: what is made from a
            finished tree, the paper only where there is LaTeX.
    """
    left_out = () if find_latex() else (BUILD_PAPER.name,)
    steps = [step for step in STEPS.values() if step.part == part and step.name not in left_out]
    return [job for step in steps for job in list_jobs_of(step, profile, layout)]
