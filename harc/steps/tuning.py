"""Steps of tuning: tune_method tries a grid, choose_point applies the criterion, collect_points gathers all."""

from pathlib import Path
from typing import Any

from harc.core.artifacts import BASE
from harc.settings.methods import list_objective_code
from harc.settings.profile import Profile
from harc.settings.training import MethodSettings
from harc.steps.data import list_rows
from harc.steps.directions import ROWS
from harc.steps.job import RUN, Job, Resources, Step, run_on_model
from harc.steps.judging import find_parameters, list_parameters
from harc.steps.models import find_base_directions, list_backbone_files

BRIEF = Resources(500, runtime=5)


def list_points(job: Job) -> list[tuple[dict[str, Any], MethodSettings]]:
    """(changes, settings) of every point; none for the base."""
    changes = job.profile.tuning.grids.get(job.method, ())
    return [(change, job.profile.compose_point(job.backbone, job.method, change)) for change in changes]


def find_start(job: Job) -> str | None:
    """The method whose chosen point comes first; None for methods that start from the base."""
    return None if job.method == BASE else job.profile.methods[job.method].start_from


def list_tuned_units(profile: Profile) -> list[tuple]:
    """Every (backbone, method, seed) whose points are tried, the base's first; none without grids."""
    tuning = profile.tuning
    methods = (BASE, *tuning.grids) if tuning.grids else ()
    return [
        (backbone, method, seed)
        for method in methods
        for backbone in tuning.backbones or profile.backbones
        for seed in tuning.seeds
        if method != BASE or not profile.is_fixed(backbone) or seed == tuning.seeds[0]
    ]


def list_grid_code(job: Job) -> list[str]:
    """The objectives of the points, and of the method that a composed one starts from and that is trained here too."""
    start = find_start(job)
    first = None if start is None else job.profile.find_method(start)
    return list_objective_code(first, *(settings for _, settings in list_points(job)))


def select_grid(job: Job) -> dict:
    """The points, how directions are read, how answers are counted."""
    return {
        "points": [settings.model_dump(mode="json") for _, settings in list_points(job)],
        **job.dump("directions", "evaluation"),
    }


def list_grid_inputs(job: Job) -> list[Path]:
    """The backbone, its directions (not for the base), the splits trained and tried on, the choice to start from."""
    start = find_start(job)
    return [
        *list_backbone_files(job),
        *([] if job.method == BASE else [find_base_directions(job)]),
        *list_rows(job, "training.jsonl", *ROWS, "development.jsonl", "world.json"),
        *list_parameters(job),
        *([] if start is None else [job.layout.choice(start)]),
    ]


def run_tune_method(job: Job) -> None:
    """Try the points of a method on one backbone on development prompts; those finished before a kill are kept."""
    from harc.core.csv_files import write_csv
    from harc.evaluation.bench import Bench
    from harc.evaluation.tuning import COLUMNS, run_grid
    from harc.steps.models import find_model

    bench = Bench(
        find_model(job),
        job.profile.data_dir,
        job.profile.evaluation,
        job.stream,
        directions=find_base_directions(job),
        reading=job.profile.directions,
        answers=list_rows(job, "training.jsonl")[0].parent,
        parameters=find_parameters(job),
    )
    checkpoint = job.layout.checkpoint("tuning", *job.unit)
    rows = run_grid(bench, job.label, list_points(job), checkpoint, start=_read_start(job))
    names = {"backbone": job.backbone, "method": job.method, "seed": job.seed}
    write_csv(job.layout.points(*job.unit), COLUMNS, [{**names, **row} for row in rows])


def _read_start(job: Job) -> MethodSettings | None:
    """Settings of the method to start from, at its chosen point."""
    from harc.core.files import read_json

    start = find_start(job)
    if start is None:
        return None
    return job.profile.compose_point(job.backbone, start, read_json(job.layout.choice(start))["changes"])


TUNE_METHOD = Step(
    "tune_method",
    f"{__name__}:run_tune_method",
    list_outputs=lambda job: [job.layout.points(*job.unit)],
    unit=RUN,
    list_units=list_tuned_units,
    list_inputs=list_grid_inputs,
    list_plugins=list_grid_code,
    select_settings=select_grid,
    resources=run_on_model(600),
    needs=("endpoints",),
    guarded=True,
    part="tuning",
)


def select_criterion(job: Job) -> dict:
    """The criterion, and the method's own grid, whose chosen point is written down."""
    tuning = job.profile.tuning.model_dump(mode="json")
    own = {**tuning, "grids": {job.method: tuning["grids"][job.method]}}
    return {"tuning": own, "fixed": job.profile.list_fixed()}


def list_points_files(job: Job, *methods: str) -> list[Path]:
    """Tables of the points of methods, on every backbone and seed."""
    units = list_tuned_units(job.profile)
    return [job.layout.points(*unit) for method in methods for unit in units if unit[1] == method]


def run_choose_point(job: Job) -> None:
    """Choose over all backbones and seeds that were tried, and write the choice with all candidates."""
    from dataclasses import asdict

    from harc.core.csv_files import read_csv
    from harc.core.files import write_json
    from harc.evaluation.tuning import choose_point, judge_points

    own, base = (
        [row for path in list_points_files(job, method) for row in read_csv(path)]
        for method in (job.method, BASE)
    )
    choice = choose_point(job.method, own, base, job.profile.tuning)
    judged = [asdict(candidate) for candidate in judge_points(job.method, own, base, job.profile.tuning)]
    changes = job.profile.tuning.grids[job.method][choice.point]
    write_json(job.layout.choice(job.method), {**asdict(choice), "changes": changes, "candidates": judged})


CHOOSE_POINT = Step(
    "choose_point",
    f"{__name__}:run_choose_point",
    list_outputs=lambda job: [job.layout.choice(job.method)],
    unit=("method",),
    list_units=lambda profile: [(method,) for method in profile.tuning.grids],
    list_inputs=lambda job: list_points_files(job, job.method, BASE),
    select_settings=select_criterion,
    resources=BRIEF,
    part="tuning",
)


def list_tuning_files(job: Job) -> tuple[list[Path], list[Path]]:
    """Every table of points, and every choice."""
    grids = job.profile.tuning.grids
    return list_points_files(job, BASE, *grids), [job.layout.choice(method) for method in grids]


def list_collected_files(job: Job) -> list[Path]:
    """tuned.yaml, points.csv."""
    return [job.layout.tuning / "tuned.yaml", job.layout.tuning / "points.csv"]


def run_collect_points(job: Job) -> None:
    """Write all points of all methods in one table, and the chosen settings as a part of a profile."""
    from harc.core.csv_files import read_csv, write_csv
    from harc.core.files import read_json, write_text
    from harc.evaluation.tuning import COLUMNS, format_tuned

    tuned, points = list_collected_files(job)
    tables, _ = list_tuning_files(job)
    write_csv(points, COLUMNS, [row for path in tables for row in read_csv(path)])
    choices = {method: read_json(job.layout.choice(method)) for method in job.profile.tuning.grids}
    write_text(tuned, format_tuned(choices, job.profile.tuning))


COLLECT_POINTS = Step(
    "collect_points",
    f"{__name__}:run_collect_points",
    list_outputs=list_collected_files,
    list_units=lambda profile: [()] if profile.tuning.grids else [],
    list_inputs=lambda job: [path for files in list_tuning_files(job) for path in files],
    select_settings=lambda job: {**job.dump("tuning"), "fixed": job.profile.list_fixed()},
    resources=BRIEF,
    part="tuning",
)
