"""The benchmarks as tasks of lm-evaluation-harness: its own definitions, on local files where there are such.

lm_eval's prompts and filters are read from the installed package, not written here again. GSM8K and HumanEval come from
the registered files, so they need no network; MMLU and IFEval come from the hub.
"""

import gzip
import json
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.files import read_jsonl
from harc.settings.suites import HelpfulnessSettings
from harc.suites.helpfulness_files import LOCAL_FILES
from harc.suites.programs import grade_program

MAIN_METRICS = {
    "mmlu": ("acc,none", "accuracy"),
    "gsm8k": ("exact_match,flexible-extract", "exact match, last number"),
    "humaneval": ("pass_at_1,none", "pass@1"),
    "ifeval": ("prompt_level_strict_acc,none", "prompts followed to the letter"),
}
"""Benchmark -> (lm_eval's name of the metric that is reported, what it is)."""
HUMANEVAL_FIELDS = ("task_id", "prompt", "test", "entry_point")


def find_package() -> Path:
    """Folder of lm_eval's task definitions."""
    import lm_eval

    return Path(lm_eval.__file__).parent / "tasks"


def read_definition(file: str) -> dict[str, Any]:
    """A task definition of lm_eval as plain values: functions that it names are not imported.

    (The module behind humaneval runs model code outside any sandbox as soon as it is imported.)
    """
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: None)
    return yaml.load((find_package() / file).read_text(encoding="utf-8"), Loader)


def read_compressed_rows(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of a gzipped JSONL file.

    Raises:
        DataError: if it is missing, damaged, or lacks a field.
    """
    try:
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    except (OSError, EOFError, ValueError) as problem:
        raise DataError(
            str(path),
            expected="a gzipped JSONL file",
            found=str(problem),
            fix="run `harc data fetch humaneval`",
        ) from None
    if not rows or any(name not in row for row in rows for name in fields):
        raise DataError(
            str(path),
            expected=f"rows with {', '.join(fields)}",
            found="others",
            fix="run `harc data fetch humaneval`",
        )
    return rows


def _hold_in_memory(definition: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    from datasets import Dataset

    dropped = (
        "dataset_path",
        "dataset_name",
        "tag",
        "include",
        "unsafe_code",
        "training_split",
        "fewshot_split",
    )
    kept = {name: value for name, value in definition.items() if name not in dropped}
    return {**kept, "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)}}


def make_gsm8k(public_dir: Path) -> dict[str, Any]:
    """gsm8k_cot_llama on the registered test problems."""
    rows = read_jsonl(public_dir / LOCAL_FILES["gsm8k"], ("question", "answer"))
    return _hold_in_memory(read_definition("gsm8k/gsm8k-cot-llama.yaml"), rows)


def make_humaneval(public_dir: Path, settings: HelpfulnessSettings) -> dict[str, Any]:
    """humaneval_instruct on the registered problems, its programs run in the sandbox."""
    rows = read_compressed_rows(public_dir / LOCAL_FILES["humaneval"], HUMANEVAL_FIELDS)
    definition = read_definition("humaneval/humaneval.yaml") | read_definition(
        "humaneval/humaneval_instruct.yaml"
    )
    task = _hold_in_memory(definition, [{name: row[name] for name in HUMANEVAL_FIELDS} for row in rows])
    del task["filter_list"]
    return task | {
        "process_results": lambda doc, results: grade_program(doc, results[0], settings.sandbox),
        "metric_list": [{"metric": "pass_at_1", "aggregation": "mean", "higher_is_better": True}],
    }


def load_tasks(benchmark: str, settings: HelpfulnessSettings, public_dir: Path) -> dict[str, Any]:
    """What lm_eval's `evaluate` takes, with the settings' number of examples.

    Raises:
        DataError: for a missing or damaged local file.
    """
    from lm_eval.tasks import TaskManager

    if benchmark == "gsm8k":
        loaded = TaskManager(include_defaults=False).load([make_gsm8k(public_dir)])
    elif benchmark == "humaneval":
        loaded = TaskManager(include_defaults=False).load([make_humaneval(public_dir, settings)])
    else:
        folder = {"mmlu": "mmlu/default", "ifeval": "ifeval"}[benchmark]
        manager = TaskManager(include_path=str(find_package() / folder), include_defaults=False)
        loaded = manager.load([benchmark])
    fewshot = getattr(settings, benchmark).fewshot
    if fewshot is not None:
        for task in loaded["tasks"].values():
            task.set_config(key="num_fewshot", value=fewshot)
    return loaded
