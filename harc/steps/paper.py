"""Steps that show results: build_paper sets the PDF from prose and what was generated, build_report writes one page."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from harc.core.artifacts import BASE, SIDECAR_SUFFIX
from harc.core.errors import ArtifactError, EnvironmentProblem
from harc.core.files import read_json
from harc.settings.profile import Profile
from harc.steps.analysis import list_compute_files, list_table_files, list_table_names
from harc.steps.job import Job, Resources, Step
from harc.steps.reference import find_real_study, is_published

PAPER = Path("paper")
GENERATED = "generated"
REAL = "real"  # folder in it, and prefix of macros, of the study of published models
PROGRAMS = {
    "latexmk": ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "-outdir=build", "main.tex"],
    "tectonic": ["tectonic", "--outdir", "build", "main.tex"],
}
"""What sets the text, by preference; run in the paper's folder, with its output in build/."""


def locate_paper(profile: Profile) -> Path:
    """Folder that a profile's paper is set in: the project's, or for a rehearsal one of its own, beside its tree."""
    root = profile.results_root
    return root.with_name(f"{root.name}.paper") if profile.rehearsal else PAPER


def locate_pdf(profile: Profile) -> Path:
    """The PDF of a profile."""
    return locate_paper(profile) / "main.pdf"


def find_latex() -> str | None:
    """`latexmk` or `tectonic`, whichever is there; None without either."""
    return next((name for name in PROGRAMS if shutil.which(name)), None)


def list_sources() -> list[Path]:
    """The prose: every .tex and .bib file under paper/ that a person wrote."""
    patterns = ("*.tex", "*.bib", "latexmkrc", "sections/*.tex")
    return sorted(path for pattern in patterns for path in PAPER.glob(pattern))


def list_read_sources(real: Job | None) -> list[Path]:
    """The prose that a paper with or without a study of published models is set from."""
    return [path for path in list_sources() if real is not None or not path.stem.startswith(REAL)]


def list_figure_files(job: Job, kind: str) -> list[Path]:
    """Every figure of the profile, as `pdf` or `png`."""
    return [job.layout.figures / f"{name}.{kind}" for name in job.profile.figures]


def list_compute(job: Job) -> list[Path]:
    """The table of compute; none where an older committed study is read, which has no such table."""
    files = list_compute_files(job)[1:]
    return [path for path in files if job.layout.reference is None or path.is_file()]


def find_real_job(job: Job) -> Job | None:
    """The same job of the study of published models that the paper shows first: a committed one, or the job's own."""
    if is_published(job.profile):
        return job
    found = find_real_study(job.profile)
    return found and replace(job, profile=found[0], layout=found[1])


def list_shown(job: Job) -> list[Path]:
    """Tables, numbers and figures of a study."""
    return [*list_table_files(job)[1:], *list_figure_files(job, "pdf")]


def list_paper_inputs(job: Job) -> list[Path]:
    """Prose, tables, numbers and figures of all that is shown, and the root hash of the job's own tree."""
    shown, real = list_shown(job), find_real_job(job)
    shown += list_shown(real) if real and real is not job else []
    return [*list_read_sources(real), *shown, *list_compute(job), job.layout.root_hash]


def list_commands(job: Job) -> dict[str, str]:
    """The command behind every table and figure, for the table of provenance."""
    tables = dict.fromkeys(list_table_names(), replace(job, step="make_tables").command)
    figures = {name: replace(job, step="make_figure", figure=name).command for name in job.profile.figures}
    return tables | figures | {"compute": replace(job, step="tabulate_compute").command}


def run_build_paper(job: Job) -> None:
    """Copy what was generated beside the prose and set the text; equal inputs give equal bytes.

    Raises:
        EnvironmentProblem: without LaTeX.
        ArtifactError: if LaTeX stops, with its first error.
    """
    from harc.results.paper import collect_paper_inputs

    program = find_latex()
    if program is None:
        raise EnvironmentProblem(
            "LaTeX",
            expected="latexmk or tectonic",
            found="neither",
            fix="run `make latex`, or install TeX Live",
        )
    real, folder = find_real_job(job), locate_paper(job.profile)
    if job.profile.rehearsal:
        copy_prose(folder)
    collect_paper_inputs(
        job.layout.tables,
        job.layout.figures,
        folder / GENERATED,
        list_commands(job),
        root_hash=read_json(job.layout.root_hash)["root_hash"],
        compute_dir=job.layout.compute,
        only={path.name for path in (*list_shown(job), *list_compute(job))},
        has_organisms=real is not job,
    )
    if real is not None:
        only = {path.name for path in list_shown(real)}
        collect_paper_inputs(
            real.layout.tables,
            real.layout.figures,
            folder / GENERATED / REAL,
            list_commands(real),
            prefix=REAL,
            only=only,
        )
    _typeset(program, folder)


def copy_prose(folder: Path) -> None:
    """The prose in a rehearsal's own folder, every page of it marked."""
    from harc.core.files import write_text
    from harc.results.marks import mark_paper

    for path in list_sources():
        text = path.read_text(encoding="utf-8")
        write_text(folder / path.relative_to(PAPER), mark_paper(text) if path.name == "main.tex" else text)


def _typeset(program: str, folder: Path) -> None:
    build, command = folder / "build", PROGRAMS[program]
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    # A fixed date in the PDF's metadata, so that equal inputs give equal bytes.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    made = build / "main.pdf"
    if done.returncode != 0 or not made.is_file():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("!", "error"))]
        raise ArtifactError(
            f"{folder}/main.tex",
            expected=f"a PDF from {program}",
            found=lines[0] if lines else f"exit status {done.returncode}",
            fix=f"see {build}/main.log, or run `cd {folder} && {' '.join(command)}`",
        )
    os.replace(made, folder / "main.pdf")


BUILD_PAPER = Step(
    "build_paper",
    f"{__name__}:run_build_paper",
    list_outputs=lambda job: [locate_pdf(job.profile)],
    list_inputs=list_paper_inputs,
    select_settings=lambda job: {
        "profile": job.profile.name,
        "figures": list(job.profile.figures),
        "real_study": job.profile.real_study,
        "kinds": {name: backbone.kind for name, backbone in job.profile.backbones.items()},
    },
    part="end",
    of_study=True,
)


def list_report_inputs(job: Job) -> list[Path]:
    """Tables, figures, the table of compute, and the generations from which examples are shown."""
    from harc.results.report import EXAMPLE_SUITES

    profile = job.profile
    shown = [suite for suite in EXAMPLE_SUITES if suite in profile.evaluation.suites]
    generations = [
        job.layout.generations(*unit) / f"{suite}.jsonl"
        for unit in profile.list_main_units()
        for suite in shown
        if unit[2] == profile.seeds[0] and profile.analysis.report_examples
    ]
    tables = [path for path in (*list_table_files(job)[1:], *list_compute(job)) if path.suffix == ".csv"]
    return [*tables, *list_figure_files(job, "png"), *generations]


def list_shown_sidecars(job: Job) -> list[Path]:
    """The sidecars that the page lists: of a run's artifacts, or of a committed study and of what is drawn from it."""
    from harc.steps.files import find_sidecar
    from harc.steps.registry import STEPS, list_jobs

    kept = job.layout.reference
    jobs = [other for other in list_jobs(job.profile, job.layout) if other.step != job.step]
    made = [find_sidecar(other) for other in jobs if kept is None or STEPS[other.step].of_study]
    return made if kept is None else [*sorted(kept.rglob(f"*{SIDECAR_SUFFIX}")), *made]


def run_build_report(job: Job) -> None:
    """Write one self-contained HTML page of claims, tables, figures and example generations."""
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
        sidecars=list_shown_sidecars(job),
        mean_attacks=profile.evaluation.mean_attacks,
    )


BUILD_REPORT = Step(
    "build_report",
    f"{__name__}:run_build_report",
    list_outputs=lambda job: [job.layout.report],
    list_inputs=list_report_inputs,
    list_unrecorded=list_shown_sidecars,
    select_settings=lambda job: {
        **job.dump("analysis"),
        "profile": job.profile.name,
        "mean_attacks": job.profile.evaluation.mean_attacks,
    },
    resources=Resources(1000),
    of_study=True,
)
