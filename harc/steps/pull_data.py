"""Step pull_data: bring the profile's rows into place and check them against what was committed."""

from importlib import import_module
from pathlib import Path

from harc.core.artifacts import DATA_MANIFEST, DATA_PIN
from harc.settings.profile import Profile
from harc.steps.pipeline import Job

ROW_FILES = (
    "world.json",
    "manifest.json",
    "pretraining.jsonl",
    "safety.jsonl",
    "extraction.jsonl",
    "extraction_pairs.jsonl",
    "training.jsonl",
    "development.jsonl",
    "evaluation.jsonl",
)
SOURCE_MODULES = {
    "dvc": "harc.data.rows_pinned",
    "build": "harc.data.rows_built",
    "public": "harc.data.rows_public",
}
ORGANISM_ONLY = ("pretraining.jsonl", "safety.jsonl")  # corpora that backbones are trained on


def list_row_files(profile: Profile) -> list[Path]:
    """The row files of a profile; published models need no corpora to be trained on."""
    left_out = ORGANISM_ONLY if profile.data.source == "public" else ()
    return [profile.data_dir / name for name in ROW_FILES if name not in left_out]


def list_plugins(job: Job) -> list[str]:
    """What brings the profile's rows: pinned ones do not depend on how others are made."""
    return [SOURCE_MODULES[job.profile.data.source]]


def select_settings(job: Job) -> dict:
    """Where rows come from, and the settings behind rows that are made in the run."""
    settings = {"data": job.profile.data.model_dump(mode="json", include={"source", "directory"})}
    if job.profile.data.source == "build":
        settings["world"] = job.profile.world.model_dump(mode="json")
    if job.profile.data.source == "public":
        settings["rows"] = job.profile.data.rows.model_dump(mode="json")
    return settings


def list_inputs(job: Job) -> list[Path]:
    """The committed pins, where rows are pinned; the registry of public files is part of the code."""
    return [DATA_PIN, DATA_MANIFEST] if job.profile.data.source == "dvc" else []


def list_outputs(job: Job) -> list[Path]:
    """The report of the check, and every row file."""
    return [job.layout.data_report, *list_row_files(job.profile)]


def run(job: Job) -> None:
    """Pull, build or assemble the rows, and write what the check of their bytes found.

    Raises:
        DataError: if DVC cannot pull, or a file differs from its pinned or registered SHA-256.
        EnvironmentProblem: if a public file cannot be reached.
    """
    from harc.core.files import write_json

    report = import_module(list_plugins(job)[0]).bring_rows(job.profile, job.mirror)
    write_json(job.layout.data_report, report)
