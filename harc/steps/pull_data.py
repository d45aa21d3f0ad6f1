"""Step pull_data: bring the profile's rows into place and check them against what was committed."""

from pathlib import Path

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


def select_settings(job: Job) -> dict:
    """Where rows come from; the world's settings only where rows are built from them."""
    settings = {"data": job.profile.data.model_dump(mode="json")}
    if job.profile.data.source == "build":
        settings["world"] = job.profile.world.model_dump(mode="json")
    return settings


def list_inputs(job: Job) -> list[Path]:
    """The committed pins; nothing where rows are built."""
    return [PIN, MANIFEST] if job.profile.data.source == "dvc" else []


def list_outputs(job: Job) -> list[Path]:
    """The report of the check, and every row file."""
    return [job.layout.data_report, *(job.profile.data_dir / name for name in ROW_FILES)]


def run(job: Job) -> None:
    """Pull or build the rows, and write what the check of their bytes found.

    Raises:
        DataError: if DVC cannot pull, or a file differs from its pinned SHA-256.
    """
    from harc.files import write_json

    if job.profile.data.source == "build":
        from harc.data.verify import build_manifest
        from harc.organism.corpora import build_world_data

        build_world_data(job.profile.data_dir, job.profile.world)
        report = build_manifest(job.profile.data_dir)
    else:
        from harc.data.pins import pull_data

        report = pull_data(
            Path(), pin_file=PIN.as_posix(), manifest_file=MANIFEST.as_posix(), force=True
        ).as_json()
    write_json(job.layout.data_report, report)
