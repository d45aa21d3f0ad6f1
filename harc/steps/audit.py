"""Step audit: does every artifact follow from its inputs, and was any touched since?"""

from pathlib import Path

from harc.pipeline import Job


def select_settings(job: Job) -> dict:
    """Nothing: an audit checks what is there."""
    return {}


def list_inputs(job: Job) -> list[Path]:
    """None by name: the audit reads the whole tree."""
    return []


def list_outputs(job: Job) -> list[Path]:
    """audit.json."""
    return [job.layout.audit]
