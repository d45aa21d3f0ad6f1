"""Step make_tables: every table, as CSV and LaTeX, and the numbers that the paper's text uses."""

from dataclasses import asdict
from itertools import product
from pathlib import Path

from harc.core.artifacts import BASE, DIRECTION_FILES, PROJECTION_FILES, TRAJECTORY_FILES
from harc.methods.harc_released import list_conflicts, list_switches
from harc.results.catalogue import TABLES, locate_table, write_tables
from harc.results.plane import DRAWN
from harc.results.tuning_points import locate_tuned
from harc.steps.pipeline import Job
from harc.suites.benchmarks import SCORES

CALIBRATED = ("over_refusal.csv", "release_overlap.csv")
NUMBERS = "numbers.tex"


def select_settings(job: Job) -> dict:
    """The whole profile, which the hyperparameter table shows, and what is known of the release's own settings."""
    return {
        **job.profile.model_dump(mode="json"),
        "switches": [asdict(switch) for switch in list_switches()],
        "conflicts": [asdict(conflict) for conflict in list_conflicts()],
    }


def list_plugins(job: Job) -> list[str]:
    """The tables, each by its own function."""
    return [locate_table(name) for name in TABLES]


def list_units(job: Job) -> list[tuple[str, str, int]]:
    """Every (backbone, method, seed) of the profile's main comparison, base first."""
    return job.profile.list_main_units()


def list_inputs(job: Job) -> list[Path]:
    """Scores, geometry, training logs, of arms too; fine-tunings; acceptance; what is committed; the guard's table."""
    layout, profile = job.layout, job.profile
    points = profile.analysis.tuning_points
    tuning = [] if points is None else [points, locate_tuned(points)]
    from harc.results.view import CALIBRATION, CLAIMS, PUBLISHED

    inputs = [CLAIMS, PUBLISHED, *tuning, *profile.analysis.scale_tables]
    inputs += [layout.contamination, *(CALIBRATION / name for name in CALIBRATED)]
    inputs += [
        layout.backbone(backbone, seed) / "acceptance.json"
        for backbone, seed in profile.list_models()
        if profile.all_backbones[backbone].kind == "organism"
    ]
    own = [name for name, backbone in profile.backbones.items() if backbone.kind == "organism"]
    inputs += [layout.backbone(name, profile.seeds[0]) / "config.json" for name in own]
    families = product(profile.families.backbones, [BASE], profile.families.seeds)
    inputs += [layout.directions(*unit) / name for unit in families for name in DIRECTION_FILES]
    for unit in profile.list_units():
        inputs.append(layout.scores(*unit) / "outcomes.csv")
        planes = PROJECTION_FILES if unit[1] in DRAWN else ()
        inputs += [layout.directions(*unit) / name for name in (*DIRECTION_FILES, *planes)]
    logged = [unit for unit in profile.list_main_units() if unit[1] != BASE]
    inputs += [layout.adapter(*unit) / "training_log.jsonl" for unit in logged]
    inputs += [layout.helpfulness(*unit) / SCORES for unit in profile.list_helpfulness_units()]
    inputs += [layout.finetuning(*unit) / "answers.csv" for unit in profile.list_finetuned_units()]
    traced = profile.list_traced_units()
    inputs += [layout.trajectories(*unit) / name for unit in traced for name in TRAJECTORY_FILES]
    return inputs


def list_outputs(job: Job) -> list[Path]:
    """The tables' folder, and every file in it."""
    folder = job.layout.tables
    names = [f"{table}.{kind}" for table in TABLES for kind in ("csv", "tex")]
    return [folder, *(folder / name for name in (*names, NUMBERS))]


def run(job: Job) -> None:
    """Write the tables, then the numbers from the tables alone."""
    from harc.results.numbers import make_numbers
    from harc.results.view import view_study

    folder = job.layout.tables
    write_tables(view_study(job.profile, job.layout), folder)
    make_numbers(folder, folder / NUMBERS)
