"""Step build_report: one self-contained HTML page of claims, tables, figures and example generations."""

from pathlib import Path

from harc.core.artifacts import BASE, sidecar_path
from harc.core.files import sha256_file
from harc.core.fingerprint import ROOT
from harc.steps.build_paper import list_compute, list_figure_files
from harc.steps.make_tables import list_outputs as list_table_files
from harc.steps.make_tables import list_units
from harc.steps.pipeline import Job, list_jobs, load_step
from harc.steps.seal_results import list_plugins

__all__ = [
    "list_inputs",
    "list_outputs",
    "list_plugins",
    "list_unrecorded",
    "run",
    "select_settings",
]
TEMPLATE = ROOT / "results" / "templates" / "report.html"
DRAWN = ("make_tables", "make_figure", "seal_results")  # what is made from a committed study, beside the page


def select_settings(job: Job) -> dict:
    """What is shown, and the page's template, which is code that no import leads to."""
    return {
        "analysis": job.profile.analysis.model_dump(mode="json"),
        "profile": job.profile.name,
        "template": sha256_file(TEMPLATE),
    }


def list_inputs(job: Job) -> list[Path]:
    """Tables, figures, the table of compute, and the generations from which examples are shown."""
    from harc.results.report import EXAMPLE_SUITES

    profile = job.profile
    shown = [suite for suite in EXAMPLE_SUITES if suite in profile.evaluation.suites]
    generations = [
        job.layout.generations(backbone, method, seed) / f"{suite}.jsonl"
        for backbone, method, seed in list_units(job)
        for suite in shown
        if seed == profile.seeds[0] and profile.analysis.report_examples
    ]
    tables = [path for path in (*list_table_files(job)[1:], *list_compute(job)) if path.suffix == ".csv"]
    return [*tables, *list_figure_files(job, "png"), *generations]


def list_unrecorded(job: Job) -> list[Path]:
    """The sidecars that the page lists: of a run's artifacts, or of a committed study and of what is drawn from it."""
    kept = job.layout.reference
    jobs = [other for other in list_jobs(job.profile, job.layout) if other.step != job.step]
    made = [
        sidecar_path(load_step(other.step).list_outputs(other)[0])
        for other in jobs
        if kept is None or other.step in DRAWN
    ]
    return made if kept is None else [*sorted(kept.rglob("*.provenance.json")), *made]


def list_outputs(job: Job) -> list[Path]:
    """report.html."""
    return [job.layout.report]


def run(job: Job) -> None:
    """Write the page."""
    from harc.results.report import build_report

    profile = job.profile
    build_report(
        job.layout,
        list(profile.backbones),
        [BASE, *profile.methods],
        list(profile.seeds),
        profile.analysis,
        profile.name,
        profile.description,
        figures=list_figure_files(job, "png"),
        sidecars=list_unrecorded(job),
    )
