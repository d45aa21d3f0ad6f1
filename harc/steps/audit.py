"""Step audit: does every artifact follow from its inputs, and was any touched since?"""

from dataclasses import replace
from pathlib import Path

from harc.audit import AuditReport, audit_results, list_expected_sidecars, print_report
from harc.audit.report import TEMPLATE, render_page
from harc.audit.steps import PURE_STEPS
from harc.core.artifacts import Layout, sidecar_path
from harc.core.errors import ArtifactError
from harc.core.files import sha256_file, write_json, write_text
from harc.settings.profile import Profile
from harc.steps.build_paper import PDF, find_latex
from harc.steps.pipeline import STEPS, Job, list_jobs, list_made, list_needed, load_step


def list_plugins(job: Job) -> list[str]:
    """What every step says of its settings and files, and the steps that are repeated beside the tree."""
    asked = ("select_settings", "list_inputs", "list_unrecorded", "list_outputs", "list_plugins")
    said = [f"harc.steps.{step}:{name}" for step in STEPS for name in asked if hasattr(load_step(step), name)]
    figures = [f"harc.results.figures.{figure}" for figure in job.profile.figures]
    return [*said, *figures, *(f"harc.steps.{step}:run" for step in PURE_STEPS)]


def select_settings(job: Job) -> dict:
    """The page's template alone, which is code that no import leads to: an audit checks what is there."""
    return {"template": sha256_file(TEMPLATE)}


def list_inputs(job: Job) -> list[Path]:
    """None by name: the audit reads the whole tree."""
    return []


def list_unrecorded(job: Job) -> list[Path]:
    """Every artifact's sidecar, and every file that no other step reads: a change of the others reruns those first."""
    jobs = list_jobs(job.profile, job.layout)
    jobs += [replace(job, step="build_paper")] if find_latex() else []
    read = {path for other in jobs for path in list_needed(other)}
    made = [list_made(other) for other in jobs]
    return [
        path for *files, sidecar in made for path in (*files, sidecar) if path == sidecar or path not in read
    ]


def list_outputs(job: Job) -> list[Path]:
    """audit.json, and audit.html to read."""
    return [job.layout.audit, job.layout.audit_page]


def audit_profile(profile: Profile, layout: Layout) -> AuditReport:
    """Audit a profile's tree, where every artifact of the profile must be, and the paper set from it."""
    expected = list_expected_sidecars(profile, layout)
    if PDF.is_file():
        expected.append(sidecar_path(PDF))
    return audit_results(layout.root, expected=expected)


def write_report(report: AuditReport, folder: Path) -> None:
    """Write audit.json and audit.html to a folder."""
    write_json(folder / "audit.json", report.as_json())
    write_text(folder / "audit.html", render_page(report))


def run(job: Job) -> None:
    """Audit, print and write what was found.

    Raises:
        ArtifactError: if anything was found; the findings are printed above.
    """
    report = audit_profile(job.profile, job.layout)
    write_report(report, job.layout.audit.parent)
    print_report(report)
    if report.findings:
        raise ArtifactError(
            str(job.layout.root),
            expected="artifacts that follow from their inputs",
            found=f"{len(report.findings)} that do not",
            fix="each finding above names the command that repairs it",
        )
