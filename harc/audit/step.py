"""What the steps run that read the sidecars of a whole tree: tabulate_compute, seal_results, audit."""

from pathlib import Path

from harc.audit.report import AuditReport, print_report, render_page
from harc.audit.sidecars import hash_claims, hash_tree, read_sidecar
from harc.audit.tree import audit_results, read_tree
from harc.core.artifacts import Layout, sidecar_path
from harc.core.errors import ArtifactError
from harc.core.files import write_json, write_text
from harc.settings.profile import Profile
from harc.steps.audit import list_sealed
from harc.steps.commands import parse_command
from harc.steps.files import list_expected_sidecars
from harc.steps.job import Job
from harc.steps.paper import locate_pdf
from harc.steps.registry import STEPS


def audit_profile(profile: Profile, layout: Layout) -> AuditReport:
    """Audit a profile's tree, where every artifact of the profile must be, and the paper set from it."""
    expected = list_expected_sidecars(profile, layout)
    pdf = locate_pdf(profile)
    if pdf.is_file():
        expected.append(sidecar_path(pdf))
    return audit_results(layout.root, expected=expected)


def write_report(report: AuditReport, folder: Path) -> None:
    """Write audit.json and audit.html to a folder."""
    write_json(folder / "audit.json", report.as_json())
    write_text(folder / "audit.html", render_page(report))


def run_audit(job: Job) -> None:
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


def _raise_first(findings: list) -> None:
    for first in findings[:1]:
        raise ArtifactError(first.file, expected=first.expected, found=first.found, fix=first.repair)


def run_seal_results(job: Job) -> None:
    """Write the root hash and the digest of each artifact that went into it.

    Raises:
        ArtifactError: if a sidecar is missing or cannot be read.
    """
    root = job.layout.runs
    sidecars, findings = read_tree(root, list_sealed(job))
    _raise_first(findings)
    write_json(
        job.layout.root_hash,
        {"root_hash": hash_tree(sidecars, root), "artifacts": hash_claims(sidecars, root)},
    )


def run_tabulate_compute(job: Job) -> None:
    """Write what every kind of step up to the scores cost.

    Raises:
        ArtifactError: if a sidecar is missing or cannot be read.
    """
    from harc.results.printer import write_table
    from harc.results.tables.compute import build_compute

    records: dict[str, list[dict]] = {step: [] for step in STEPS}
    for path in list_sealed(job):
        sidecar, findings = read_sidecar(path, job.layout.root, Path())
        if sidecar is None:
            _raise_first(findings)
        assert sidecar is not None  # where there is none, there is a finding
        records[parse_command(sidecar.command)[0]].append(sidecar.record)
    write_table(build_compute({step: found for step, found in records.items() if found}), job.layout.compute)
