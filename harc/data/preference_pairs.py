"""Preference pairs from the hub: a prompt with one safe and one unsafe answer, read at run time and never kept here.

PKU-Alignment/PKU-SafeRLHF (CC BY-NC 4.0) by default, as in main/train_dpo.py@c3565e5: rows where exactly one of the
two responses is safe. Some of its prompts are harmless in themselves; the release makes no difference either.
"""

from dataclasses import dataclass
from pathlib import Path

from harc.core.errors import DataError, EnvironmentProblem
from harc.data.public_sources import Prompt

COLUMNS = ("prompt", "response_0", "response_1", "is_response_0_safe", "is_response_1_safe")


@dataclass(frozen=True)
class PreferencePairs:
    """What was read.

    Attributes:
        pairs: prompts whose `response` is the safe answer and whose `rejected` is the unsafe one.
        revision: commit of the dataset; "local" for a folder.
        skipped: rows with both or neither answer safe, or with an empty text.
    """

    pairs: list[Prompt]
    revision: str
    skipped: int


def read_preference_pairs(dataset: str, revision: str = "main") -> PreferencePairs:
    """Read a dataset's training split.

    Args:
        dataset: id on the hub, or a local folder of JSONL files with the same columns.
        revision: commit or branch on the hub.

    Raises:
        EnvironmentProblem: if it cannot be reached.
        DataError: if a column is missing, or no row has exactly one safe answer.
    """
    rows, commit = _load_rows(dataset, revision)
    missing = [name for name in COLUMNS if name not in rows.column_names]
    if missing:
        raise DataError(
            dataset,
            expected=f"the columns {', '.join(COLUMNS)}",
            found=f"no {missing[0]}",
            fix="check the dataset's id",
        )
    pairs = []
    for row in rows.select_columns(list(COLUMNS)):
        safe = [bool(row["is_response_0_safe"]), bool(row["is_response_1_safe"])]
        texts = [row[name].strip() for name in ("response_0", "response_1")]
        if safe[0] != safe[1] and row["prompt"].strip() and all(texts):
            chosen, rejected = texts if safe[0] else texts[::-1]
            name = dataset.rpartition("/")[2].lower()
            pairs.append(Prompt(row["prompt"].strip(), name, "", chosen, rejected))
    if not pairs:
        raise DataError(
            dataset,
            expected="rows with exactly one safe answer",
            found=f"none among {len(rows)}",
            fix="check is_response_0_safe and is_response_1_safe",
        )
    return PreferencePairs(pairs, commit, len(rows) - len(pairs))


def _load_rows(dataset: str, revision: str):
    """(rows, commit)."""
    import datasets

    datasets.disable_progress_bars()
    if Path(dataset).is_dir():
        files = sorted(str(path) for path in Path(dataset).glob("*.jsonl"))
        if not files:
            raise DataError(dataset, expected="JSONL files", found="none", fix="check the folder")
        return datasets.load_dataset("json", data_files=files, split="train"), "local"
    from huggingface_hub import HfApi

    try:
        commit = HfApi().dataset_info(dataset, revision=revision).sha
        return datasets.load_dataset(dataset, split="train", revision=commit), commit
    except (OSError, ValueError) as problem:
        raise EnvironmentProblem(
            f"dataset {dataset}",
            expected="to reach it on the hub",
            found=str(problem).splitlines()[0],
            fix="check the network and the id, or give a local folder in data.rows.preference_dataset",
        ) from problem
