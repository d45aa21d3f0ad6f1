"""Steps that analyse: make_tables (and the numbers of the text), make_figure (of its own files), tabulate_compute."""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from harc.core.artifacts import BASE, DIRECTION_FILES, PROJECTION_FILES, TRAJECTORY_FILES
from harc.methods.harc_released import list_conflicts, list_switches
from harc.settings.profile import Profile
from harc.steps.audit import list_sealed
from harc.steps.job import Job, Resources, Step, within
from harc.suites.benchmarks import SCORES

CALIBRATED = ("over_refusal.csv", "release_overlap.csv")
NUMBERS = "numbers.tex"


def select_everything(job: Job) -> dict:
    """The whole profile, which the hyperparameter table shows, and what is known of the release's own settings."""
    return {
        **job.profile.model_dump(mode="json"),
        "switches": [asdict(switch) for switch in list_switches()],
        "conflicts": [asdict(conflict) for conflict in list_conflicts()],
    }


def list_family_units(profile: Profile) -> list[tuple[str, str, int]]:
    """Every untouched model of the further families, of which directions alone are read."""
    return [
        (backbone, BASE, seed)
        for backbone, seed in profile.list_models()
        if backbone in profile.families.backbones
    ]


def list_table_inputs(job: Job) -> list[Path]:
    """Scores, geometry, training logs, of arms too; fine-tunings; acceptance; what is committed; the guard's table."""
    from harc.results.geometry import DRAWN
    from harc.results.readings import locate_tuned
    from harc.results.view import CALIBRATION, CLAIMS, PUBLISHED

    layout, profile = job.layout, job.profile
    points = profile.analysis.tuning_points
    tuning = [] if points is None else [points, locate_tuned(points)]
    inputs = [CLAIMS, PUBLISHED, *tuning, *profile.analysis.scale_tables]
    inputs += [layout.contamination, *(CALIBRATION / name for name in CALIBRATED)]
    inputs += [
        layout.backbone(backbone, seed) / "acceptance.json"
        for backbone, seed in profile.list_models()
        if profile.all_backbones[backbone].kind == "organism"
    ]
    own = [name for name, backbone in profile.backbones.items() if backbone.kind == "organism"]
    inputs += [layout.backbone(name, profile.seeds[0]) / "config.json" for name in own]
    families = list_family_units(profile)
    inputs += [layout.directions(*unit) / name for unit in families for name in DIRECTION_FILES]
    for unit in profile.list_units():
        inputs.append(layout.scores(*unit) / "outcomes.csv")
        planes = PROJECTION_FILES if unit[1] in DRAWN else ()
        inputs += [layout.directions(*unit) / name for name in (*DIRECTION_FILES, *planes)]
    logged = [unit for unit in profile.list_main_units() if unit[1] != BASE]
    inputs += [layout.adapter(*unit) / "training_log.jsonl" for unit in logged]
    inputs += [layout.helpfulness(*unit) / SCORES for unit in profile.list_helpfulness_units()]
    for settings, place in ((profile.finetuning, layout.finetuning), (profile.erosion, layout.erosion)):
        inputs += [place(*unit) / "answers.csv" for unit in profile.list_finetuned_units(settings)]
    inputs += [
        layout.suppression(*unit) / name
        for unit in profile.list_suppressed_units()
        for name in ("outcomes.csv", "rounds.csv", "card.json")
    ]
    traced = profile.list_traced_units()
    inputs += [layout.trajectories(*unit) / name for unit in traced for name in TRAJECTORY_FILES]
    return inputs


def list_table_names() -> list[str]:
    """Every table that is made, as a CSV and a LaTeX file."""
    from harc.results.catalogue import TABLES

    return list(TABLES)


def list_table_code(job: Job) -> list[str]:
    """The tables, each by its own function."""
    from harc.results.catalogue import locate_table

    return [locate_table(name) for name in list_table_names()]


def list_table_files(job: Job) -> list[Path]:
    """The tables' folder, and every file in it."""
    names = [f"{table}.{kind}" for table in list_table_names() for kind in ("csv", "tex")]
    return within(job.layout.tables, [*names, NUMBERS])


def run_make_tables(job: Job) -> None:
    """Write the tables, then the numbers from the tables alone."""
    from harc.results.catalogue import write_tables
    from harc.results.marks import mark_tables
    from harc.results.paper import make_numbers
    from harc.results.view import view_study

    folder = job.layout.tables
    write_tables(view_study(job.profile, job.layout), folder)
    make_numbers(folder, folder / NUMBERS)
    if job.profile.rehearsal:
        mark_tables(folder)


MAKE_TABLES = Step(
    "make_tables",
    f"{__name__}:run_make_tables",
    list_outputs=list_table_files,
    list_inputs=list_table_inputs,
    list_plugins=list_table_code,
    select_settings=select_everything,
    resources=Resources(1000),
    pure=True,
    of_study=True,
)


def name_figure_module(job: Job) -> str:
    """The figure's own module: changing it redraws this figure and no other."""
    return f"harc.results.figures.{job.figure}"


def load_figure(job: Job) -> ModuleType:
    """The figure's module."""
    return import_module(name_figure_module(job))


def list_figure_units(job: Job) -> list[list]:
    """Backbones, methods (base first) and seeds: the figure's own choice, or all of the profile's main comparison."""
    profile, module = job.profile, load_figure(job)
    if hasattr(module, "select_units"):
        return module.select_units(profile)
    return [list(profile.backbones), [BASE, *profile.methods], list(profile.seeds)]


def select_figure_options(job: Job) -> dict:
    """What the figure's module takes from the profile besides."""
    module = load_figure(job)
    return module.select_options(job.profile) if hasattr(module, "select_options") else {}


def find_fixed(job: Job, backbones: list[str]) -> dict[str, int]:
    """Those of the backbones that are the same at every seed, and the seed under which each is kept."""
    return {name: job.profile.find_weights_seed(name, 0) for name in backbones if job.profile.is_fixed(name)}


def select_attacks(job: Job) -> dict[str, tuple[str, ...]]:
    """Attacks over which their mean is taken, and those that are shown one by one."""
    evaluation = job.profile.evaluation
    return {"mean_attacks": evaluation.mean_attacks, "attacks": evaluation.list_shown_attacks()}


def select_figure_settings(job: Job) -> dict:
    """What is drawn, and how results are summarised."""
    units = list_figure_units(job)
    return {
        **job.dump("analysis"),
        "units": units,
        "fixed": find_fixed(job, units[0]),
        "options": select_figure_options(job),
        **select_attacks(job),
        **({"rehearsal": True} if job.profile.rehearsal else {}),
    }


def view_figure(job: Job) -> Any:
    """What the figure is drawn from: the `Results` of its units."""
    from harc.results.view import Results

    analysis, (backbones, methods, seeds) = job.profile.analysis, list_figure_units(job)
    own: dict[str, Any] = {"methods": methods, "settings": analysis, "options": select_figure_options(job)}
    own |= {"fixed": find_fixed(job, backbones), "is_run": job.profile.is_run, **select_attacks(job)}
    return Results(job.layout.runs, backbones, seeds, analysis.confidence, **own)


def list_figure_outputs(job: Job) -> list[Path]:
    """PDF for the paper, PNG for README and report."""
    return [job.layout.figures / f"{job.figure}.{kind}" for kind in ("pdf", "png")]


def run_make_figure(job: Job) -> None:
    """Draw the figure."""
    from harc.results.figures.style import save_figure
    from harc.results.marks import mark_figure

    canvas = load_figure(job).draw(view_figure(job))
    if job.profile.rehearsal:
        mark_figure(canvas)
    save_figure(canvas, *list_figure_outputs(job))


MAKE_FIGURE = Step(
    "make_figure",
    f"{__name__}:run_make_figure",
    list_outputs=list_figure_outputs,
    unit=("figure",),
    list_units=lambda profile: [(figure,) for figure in profile.figures],
    list_inputs=lambda job: load_figure(job).list_inputs(view_figure(job)),
    list_plugins=lambda job: [name_figure_module(job)],
    select_settings=select_figure_settings,
    resources=Resources(1000),
    of_study=True,
)


def list_compute_files(job: Job) -> list[Path]:
    """The folder of the table of what the run cost, and its files."""
    return within(job.layout.compute, ("compute.csv", "compute.tex"))


TABULATE_COMPUTE = Step(
    "tabulate_compute",
    "harc.audit.step:run_tabulate_compute",
    list_outputs=list_compute_files,
    # Unrecorded: sidecars are no artifacts, and hold the times that the table is of.
    list_unrecorded=list_sealed,
)
