"""Step pull_data: bring the profile's rows into place and check them against what was committed."""

from pathlib import Path

from harc.config.profile import Profile
from harc.pipeline import Job

PIN = Path("data.dvc")
MANIFEST = Path("config/data_manifest.json")
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
REGISTRY = Path("harc/data/registry.yaml")
ORGANISM_ONLY = ("pretraining.jsonl", "safety.jsonl")  # corpora that backbones are trained on


def list_row_files(profile: Profile) -> list[Path]:
    """The row files of a profile; published models need no corpora to be trained on."""
    left_out = ORGANISM_ONLY if profile.data.source == "public" else ()
    return [profile.data_dir / name for name in ROW_FILES if name not in left_out]


def select_settings(job: Job) -> dict:
    """Where rows come from, and the settings behind rows that are made in the run."""
    settings = {"data": job.profile.data.model_dump(mode="json", include={"source", "directory"})}
    if job.profile.data.source == "build":
        settings["world"] = job.profile.world.model_dump(mode="json")
    if job.profile.data.source == "public":
        settings["rows"] = job.profile.data.rows.model_dump(mode="json")
    return settings


def list_inputs(job: Job) -> list[Path]:
    """The committed pins; the registry where rows come from public files; nothing where they are built."""
    return {"dvc": [PIN, MANIFEST], "public": [REGISTRY], "build": []}[job.profile.data.source]


def list_outputs(job: Job) -> list[Path]:
    """The report of the check, and every row file."""
    return [job.layout.data_report, *list_row_files(job.profile)]


def run(job: Job) -> None:
    """Pull, build or assemble the rows, and write what the check of their bytes found.

    Raises:
        DataError: if DVC cannot pull, or a file differs from its pinned or registered SHA-256.
        EnvironmentProblem: if a public file cannot be reached.
    """
    from harc.files import write_json

    if job.profile.data.source == "build":
        from harc.data.verify import build_manifest
        from harc.organism.corpora import build_world_data

        build_world_data(job.profile.data_dir, job.profile.world)
        report = build_manifest(job.profile.data_dir)
    elif job.profile.data.source == "public":
        report = assemble_public_rows(job)
    else:
        from harc.data.pins import pull_data

        report = pull_data(
            Path(), pin_file=PIN.as_posix(), manifest_file=MANIFEST.as_posix(), force=True
        ).as_json()
    write_json(job.layout.data_report, report)


def assemble_public_rows(job: Job) -> dict:
    """Fetch the registered files that are not here yet, and make the rows; the manifest of what was made."""
    from harc.data.fetch import fetch_datasets
    from harc.data.public import build_public_rows
    from harc.data.public_sources import DATASETS
    from harc.data.verify import build_manifest

    data = job.profile.data
    fetch_datasets(DATASETS, data.public_dir, mirror=job.mirror or data.mirror, timeout=data.timeout)
    build_public_rows(data.public_dir, job.profile.data_dir, data.rows)
    return build_manifest(job.profile.data_dir)
