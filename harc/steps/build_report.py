"""Step build_report: one self-contained HTML page of claims, tables, figures and example generations."""

from pathlib import Path

from harc.artifacts import BASE
from harc.files import sha256_file
from harc.fingerprint import ROOT
from harc.pipeline import Job
from harc.steps.build_paper import list_compute, list_figure_files
from harc.steps.make_tables import list_outputs as list_table_files
from harc.steps.make_tables import list_units

TEMPLATE = ROOT / "analysis" / "templates" / "report.html"


def select_settings(job: Job) -> dict:
    """What is shown, and the page's template, which is code that no import leads to."""
    return {
        "analysis": job.profile.analysis.model_dump(mode="json"),
        "profile": job.profile.name,
        "template": sha256_file(TEMPLATE),
    }


def list_inputs(job: Job) -> list[Path]:
    """Tables, figures, the table of compute, and every method's generations, from which examples are shown."""
    generations = [
        job.layout.generations(backbone, method, seed) / f"{suite}.jsonl"
        for backbone, method, seed in list_units(job)
        for suite in job.profile.evaluation.suites
    ]
    return [*list_table_files(job)[1:], *list_figure_files(job), *list_compute(job), *generations]


def list_outputs(job: Job) -> list[Path]:
    """report.html."""
    return [job.layout.report]


def run(job: Job) -> None:
    """Write the page."""
    from harc.analysis.report import build_report

    profile = job.profile
    build_report(
        job.layout,
        list(profile.backbones),
        [BASE, *profile.methods],
        list(profile.seeds),
        profile.analysis,
        profile.name,
        profile.description,
    )
