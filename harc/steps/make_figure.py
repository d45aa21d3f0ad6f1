"""Step make_figure: one figure, from just the files that it reads."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from harc.steps.pipeline import Job


def list_plugins(job: Job) -> list[str]:
    """The figure's own module: changing it redraws this figure and no other."""
    return [f"harc.results.figures.{job.figure}"]


def select_settings(job: Job) -> dict:
    """What is drawn, and how results are summarised."""
    return {
        "analysis": job.profile.analysis.model_dump(mode="json"),
        "units": list_units(job),
        "options": select_options(job),
    }


def list_units(job: Job) -> list[list]:
    """Backbones, methods (base first) and seeds: the figure's own choice, or all of the profile's main comparison."""
    profile, module = job.profile, _find_module(job)
    if hasattr(module, "select_units"):
        return module.select_units(profile)
    return [list(profile.backbones), ["base", *profile.methods], list(profile.seeds)]


def select_options(job: Job) -> dict:
    """What the figure's module takes from the profile besides."""
    module = _find_module(job)
    return module.select_options(job.profile) if hasattr(module, "select_options") else {}


def _find_module(job: Job) -> ModuleType:
    return import_module(list_plugins(job)[0])


def list_inputs(job: Job) -> list[Path]:
    """The files that the figure's module declares for its units and options; the tuning points if it draws them."""
    module, points = _find_module(job), job.profile.analysis.tuning_points
    drawn = points is not None and hasattr(module, "list_tuning_inputs")
    tuning = module.list_tuning_inputs(points) if drawn else []
    further = getattr(module, "list_further_inputs", None)
    files = [] if further is None else further(job.layout.runs, **select_options(job))
    return [*module.list_inputs(job.layout.runs, *list_units(job)), *files, *tuning]


def list_outputs(job: Job) -> list[Path]:
    """PDF for the paper, PNG for README and report."""
    return [job.layout.figures / f"{job.figure}.{kind}" for kind in ("pdf", "png")]


def run(job: Job) -> None:
    """Draw the figure."""
    units, options = list_units(job), select_options(job)
    _find_module(job).plot(job.layout.runs, *units, job.profile.analysis, *list_outputs(job), **options)
