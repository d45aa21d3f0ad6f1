"""Step tabulate_compute: what every kind of step up to the scores cost, from the sidecars of the run."""

from pathlib import Path

from harc.steps.pipeline import Job
from harc.steps.seal_results import list_plugins, list_unrecorded

__all__ = ["list_inputs", "list_outputs", "list_plugins", "list_unrecorded", "run", "select_settings"]


def select_settings(job: Job) -> dict:
    """Nothing: the table is of what is there."""
    return {}


def list_inputs(job: Job) -> list[Path]:
    """None by name: sidecars are no artifacts, and hold the times that the table is of."""
    return []


def list_outputs(job: Job) -> list[Path]:
    """The folder of the table, and its files."""
    folder = job.layout.compute
    return [folder, folder / "compute.csv", folder / "compute.tex"]


def run(job: Job) -> None:
    """Write the table.

    Raises:
        ArtifactError: if a sidecar is missing or cannot be read.
    """
    from harc.audit.sidecars import read_sidecar
    from harc.core.errors import ArtifactError
    from harc.results.printer import write_table
    from harc.results.tables.compute import build_compute

    records = []
    for path in list_unrecorded(job):
        sidecar, findings = read_sidecar(path, job.layout.root, Path())
        if sidecar is None:
            first = findings[0]
            raise ArtifactError(first.file, expected=first.expected, found=first.found, fix=first.repair)
        records.append(sidecar.record)
    write_table(build_compute(records), job.layout.compute)
