"""Steps on rows: pull_data brings them into place, check_contamination finds held-out prompts among the others."""

from importlib import import_module
from pathlib import Path

from harc.core.artifacts import ANSWER_FILES, DATA_MANIFEST, DATA_PIN
from harc.settings.profile import Profile
from harc.steps.job import Job, Resources, Step

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
SOURCES = {
    "dvc": ("harc.data.rows_pinned", (DATA_PIN, DATA_MANIFEST)),
    "build": ("harc.data.rows_built", ()),
    "public": ("harc.data.rows_public", ()),
}
"""By `data.source`: the module that brings the rows, and the committed pins; a registry is part of the code."""
ORGANISM_ONLY = ("pretraining.jsonl", "safety.jsonl")  # corpora that backbones are trained on
HELD_OUT = ("development", "evaluation")  # each must hold nothing of the splits before it
COLUMNS = (
    "split",
    "suite",
    "reference",
    "n",
    "exact",
    "near",
    "allowed",
    "highest_similarity",
    "example",
    "example_of",
)


def list_row_files(profile: Profile) -> list[Path]:
    """The row files of a profile; published models need no corpora to be trained on."""
    left_out = ORGANISM_ONLY if profile.data.source == "public" else ()
    return [profile.data_dir / name for name in ROW_FILES if name not in left_out]


def list_rows(job: Job, *names: str) -> list[Path]:
    """Row files of a job by name: the profile's, or, of those with answers, the ones that its backbone answered."""
    return [_find_rows(job, name) for name in names]


def _find_rows(job: Job, name: str) -> Path:
    if name not in ANSWER_FILES or job.profile.data.answers == "given":
        return job.profile.data_dir / name
    return job.layout.answers(job.backbone, job.weights_seed) / name


def list_asked_rows(job: Job) -> list[Path]:
    """The split that models are asked, and the world that judges their answers."""
    return list_rows(job, f"{job.profile.evaluation.split}.jsonl", "world.json")


def list_splits(job: Job) -> dict[str, Path]:
    """Row file of every split of the profile, in the order in which they are used."""
    return {path.stem: path for path in list_row_files(job.profile) if path.suffix == ".jsonl"}


def list_registry(job: Job) -> list[Path]:
    """The registry of public files, where it is not the project's, which is code."""
    own = job.profile.data.registry
    return [] if own is None else [own]


def select_data_settings(job: Job) -> dict:
    """Where rows come from, and the settings behind rows that are made in the run."""
    settings = {"data": job.profile.data.model_dump(mode="json", include={"source", "directory"})}
    if job.profile.data.source == "build":
        settings |= job.dump("world")
    if job.profile.data.source == "public":
        settings["rows"] = job.profile.data.rows.model_dump(mode="json")
    return settings


def run_pull_data(job: Job) -> None:
    """Pull, build or assemble the rows, and write what the check of their bytes found.

    Raises:
        DataError: if DVC cannot pull, or a file differs from its pinned or registered SHA-256.
        EnvironmentProblem: if a public file cannot be reached.
    """
    from harc.core.files import write_json

    report = import_module(SOURCES[job.profile.data.source][0]).bring_rows(job.profile, job.mirror)
    write_json(job.layout.data_report, report)


PULL_DATA = Step(
    "pull_data",
    f"{__name__}:run_pull_data",
    list_outputs=lambda job: [job.layout.data_report, *list_row_files(job.profile)],
    list_inputs=lambda job: [*SOURCES[job.profile.data.source][1], *list_registry(job)],
    list_plugins=lambda job: [SOURCES[job.profile.data.source][0]],
    select_settings=select_data_settings,
    needs=("public rows",),
    local=True,
)


def run_check_contamination(job: Job) -> None:
    """Compare the splits; the table is written whatever it shows.

    Raises:
        DataError: for a prompt of a held-out split in an earlier one.
    """
    from harc.core.csv_files import write_csv
    from harc.data.contamination import compare_splits, find_leaks, raise_leak

    files, settings = list_splits(job), job.profile.contamination
    names = list(files)
    earlier = {split: names[: names.index(split)] for split in HELD_OUT}
    found = compare_splits(files, earlier, settings)
    leaks = [(split, leak) for split, overlap in found for leak in find_leaks([overlap], settings)]
    rows = [
        {"split": split, "allowed": overlap.suite in settings.pattern_suites, **vars(overlap)}
        for split, overlap in found
    ]
    write_csv(job.layout.contamination, COLUMNS, rows)
    for split, leak in leaks:
        raise_leak(str(files[split]), leak)


CHECK_CONTAMINATION = Step(
    "check_contamination",
    f"{__name__}:run_check_contamination",
    list_outputs=lambda job: [job.layout.contamination],
    list_inputs=lambda job: list(list_splits(job).values()),
    select_settings=lambda job: job.dump("contamination"),
    resources=Resources(1000, runtime=20),
)
