"""Step build_paper: the PDF, from the prose and what was generated; equal inputs give equal bytes."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from harc.core.errors import ArtifactError, EnvironmentProblem
from harc.core.files import read_json
from harc.steps.make_tables import TABLES
from harc.steps.make_tables import list_outputs as list_table_files
from harc.steps.pipeline import Job

PAPER = Path("paper")
PDF = PAPER / "main.pdf"
GENERATED = PAPER / "generated"


def find_latex() -> str | None:
    """`latexmk` or `tectonic`, whichever is there; None without either."""
    return next((name for name in ("latexmk", "tectonic") if shutil.which(name)), None)


def list_sources() -> list[Path]:
    """The prose: every .tex and .bib file under paper/ that a person wrote."""
    written = [
        *PAPER.glob("*.tex"),
        *PAPER.glob("*.bib"),
        *PAPER.glob("latexmkrc"),
        *PAPER.glob("sections/*.tex"),
    ]
    return sorted(written)


def list_figure_files(job: Job, kind: str) -> list[Path]:
    """Every figure of the profile, as `pdf` or `png`."""
    return [job.layout.figures / f"{name}.{kind}" for name in job.profile.figures]


def select_settings(job: Job) -> dict:
    """Which results the text is set with."""
    return {"profile": job.profile.name, "figures": list(job.profile.figures)}


def list_inputs(job: Job) -> list[Path]:
    """Prose, tables, numbers and figures, and the root hash of the tree that they belong to."""
    return [
        *list_sources(),
        *list_table_files(job)[1:],
        *list_figure_files(job, "pdf"),
        *list_compute(job),
        job.layout.root_hash,
    ]


def list_compute(job: Job) -> list[Path]:
    """The table of compute; none where an older committed study is read, which has no such table."""
    files = [job.layout.compute / f"compute.{kind}" for kind in ("csv", "tex")]
    return [path for path in files if job.layout.reference is None or path.is_file()]


def list_outputs(job: Job) -> list[Path]:
    """The PDF."""
    return [PDF]


def run(job: Job) -> None:
    """Copy what was generated beside the prose and set the text.

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
    root_hash = read_json(job.layout.root_hash)["root_hash"]
    collect_paper_inputs(
        job.layout.tables,
        job.layout.figures,
        GENERATED,
        list_commands(job),
        root_hash=root_hash,
        compute_dir=job.layout.compute,
        only={path.name for path in list_inputs(job)},
    )
    _typeset(program)


def list_commands(job: Job) -> dict[str, str]:
    """The command behind every table and figure, for the notes beside them."""
    tables = dict.fromkeys(TABLES, replace(job, step="make_tables").command)
    figures = {name: replace(job, step="make_figure", figure=name).command for name in job.profile.figures}
    return tables | figures | {"compute": replace(job, step="tabulate_compute").command}


def _typeset(program: str) -> None:
    build = PAPER / "build"
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir()
    command = {
        "latexmk": [
            "latexmk",
            "-pdf",
            "-interaction=nonstopmode",
            "-halt-on-error",
            "-outdir=build",
            "main.tex",
        ],
        "tectonic": ["tectonic", "--outdir", "build", "main.tex"],
    }[program]
    # A fixed date in the PDF's metadata, so that equal inputs give equal bytes.
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    done = subprocess.run(
        command, cwd=PAPER, env=environment, capture_output=True, text=True, errors="replace", check=False
    )
    made = build / "main.pdf"
    if done.returncode != 0 or not made.is_file():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("!", "error"))]
        raise ArtifactError(
            "paper/main.tex",
            expected=f"a PDF from {program}",
            found=lines[0] if lines else f"exit status {done.returncode}",
            fix=f"see paper/build/main.log, or run `cd paper && {' '.join(command)}`",
        )
    os.replace(made, PDF)
