"""Step tabulate_compute: what every kind of step cost, from the sidecars of the run."""

from pathlib import Path

from harc.artifacts import sidecar_path
from harc.pipeline import Job

AFTERWARDS = ("root_hash.json", "report.html", "compute")


def select_settings(job: Job) -> dict:
    """Nothing: the table is of what is there."""
    return {}


def list_inputs(job: Job) -> list[Path]:
    """None by name: sidecars are no artifacts, and hold the times that the table is of."""
    return []


def list_records(job: Job) -> list[Path]:
    """The sidecars that must be there before: every artifact of the profile but those that are made from this one."""
    from harc.audit.steps import list_expected_sidecars

    later = {sidecar_path(job.layout.root / name) for name in AFTERWARDS}
    return [path for path in list_expected_sidecars(job.profile, job.layout) if path not in later]


def list_outputs(job: Job) -> list[Path]:
    """The folder of the table, and its files."""
    folder = job.layout.compute
    return [folder, folder / "compute.csv", folder / "compute.tex"]


def run(job: Job) -> None:
    """Write the table.

    Raises:
        ArtifactError: if a sidecar is missing or cannot be read.
    """
    from harc.analysis.tables.compute import build_table
    from harc.analysis.tables.layout import write_table
    from harc.audit.sidecars import read_sidecar
    from harc.errors import ArtifactError

    records = []
    for path in list_records(job):
        sidecar, findings = read_sidecar(path, job.layout.root, Path())
        if sidecar is None:
            first = findings[0]
            raise ArtifactError(first.file, expected=first.expected, found=first.found, fix=first.repair)
        records.append(sidecar.record)
    write_table(build_table(records), job.layout.compute)
