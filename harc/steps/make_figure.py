"""Step make_figure: one figure, from just the files that it reads."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

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


def _view(job: Job) -> Any:
    """What the figure is drawn from: the `Results` of its units."""
    from harc.results.view import Results

    analysis, (backbones, methods, seeds) = job.profile.analysis, list_units(job)
    own = {"methods": methods, "settings": analysis, "options": select_options(job)}
    return Results(job.layout.runs, backbones, seeds, analysis.confidence, **own)


def list_inputs(job: Job) -> list[Path]:
    """The files that the figure's module declares for its units and options."""
    return _find_module(job).list_inputs(_view(job))


def list_outputs(job: Job) -> list[Path]:
    """PDF for the paper, PNG for README and report."""
    return [job.layout.figures / f"{job.figure}.{kind}" for kind in ("pdf", "png")]


def run(job: Job) -> None:
    """Draw the figure."""
    from harc.results.figures.style import save_figure

    save_figure(_find_module(job).draw(_view(job)), *list_outputs(job))
