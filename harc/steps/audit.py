"""Step audit: does every artifact follow from its inputs, and was any touched since?"""

from pathlib import Path

from harc.artifacts import sidecar_path
from harc.errors import ArtifactError
from harc.pipeline import Job
from harc.steps.build_paper import PDF


def select_settings(job: Job) -> dict:
    """Nothing: an audit checks what is there."""
    return {}


def list_inputs(job: Job) -> list[Path]:
    """None by name: the audit reads the whole tree."""
    return []


def list_outputs(job: Job) -> list[Path]:
    """audit.json."""
    return [job.layout.audit]


def run(job: Job) -> None:
    """Audit the profile's tree and the paper set from it; print and write what was found.

    Raises:
        ArtifactError: if anything was found; the findings are printed above.
    """
    from harc.audit import audit_results, list_expected_sidecars, print_report
    from harc.files import write_json

    expected = list_expected_sidecars(job.profile, job.layout)
    if PDF.is_file():
        expected.append(sidecar_path(PDF))
    report = audit_results(job.layout.root, expected=expected)
    print_report(report)
    write_json(job.layout.audit, report.as_json())
    if report.findings:
        raise ArtifactError(
            str(job.layout.root),
            expected="artifacts that follow from their inputs",
            found=f"{len(report.findings)} that do not",
            fix="each finding above names the command that repairs it",
        )
