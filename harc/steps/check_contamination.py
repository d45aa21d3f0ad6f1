"""Step check_contamination: no prompt of a held-out split in any split that a model is trained or chosen on."""

from pathlib import Path

from harc.steps.pipeline import Job
from harc.steps.pull_data import list_row_files

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


def list_splits(job: Job) -> dict[str, Path]:
    """Row file of every split of the profile, in the order in which they are used."""
    return {path.stem: path for path in list_row_files(job.profile) if path.suffix == ".jsonl"}


def select_settings(job: Job) -> dict:
    """When two prompts count as the same."""
    return {"contamination": job.profile.contamination.model_dump(mode="json")}


def list_inputs(job: Job) -> list[Path]:
    """Every split."""
    return list(list_splits(job).values())


def list_outputs(job: Job) -> list[Path]:
    """The table of overlaps."""
    return [job.layout.contamination]


def run(job: Job) -> None:
    """Compare the splits; the table is written whatever it shows.

    Raises:
        DataError: for a prompt of a held-out split in an earlier one.
    """
    from harc.data.contamination import compare_splits, find_leaks, raise_leak
    from harc.evaluation.score import write_csv

    files, settings = list_splits(job), job.profile.contamination
    names = list(files)
    earlier = {split: names[: names.index(split)] for split in HELD_OUT}
    found = compare_splits(files, earlier, settings)
    leaks = [(split, leak) for split, overlap in found for leak in find_leaks([overlap], settings)]
    rows = [
        {"split": split, "allowed": overlap.suite in settings.pattern_suites, **vars(overlap)}
        for split, overlap in found
    ]
    write_csv(list_outputs(job)[0], COLUMNS, rows)
    for split, leak in leaks:
        raise_leak(str(files[split]), leak)
