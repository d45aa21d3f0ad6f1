"""Prompts of the registered public files, each with its dataset and kind: reading only, no choice of rows.

What is read and what is left out: HarmBench's `standard` behaviours (its contextual ones need a context, its
copyright ones are judged by hashes); every prompt of AdvBench, JailbreakBench, XSTest, CoCoNot's contrast sets and
Alpaca. No harmful completion is read: the published openings of such answers stay in their files.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.errors import DataError
from harc.files import read_json, read_jsonl

DATASETS = ("advbench", "alpaca", "coconot", "harmbench", "jailbreakbench", "xstest")


@dataclass(frozen=True)
class Prompt:
    """One prompt of a public dataset.

    Attributes:
        text: what is asked.
        source: the dataset's name in the registry.
        kind: the dataset's own class of the prompt.
        response: a helpful or safe answer, where the dataset has one.
        rejected: an unsafe answer, where the dataset has one.
    """

    text: str
    source: str
    kind: str
    response: str = ""
    rejected: str = ""


@dataclass(frozen=True)
class PublicPrompts:
    """Every prompt by what it can be used for, in the order of the files.

    Attributes:
        harmful: requests to learn to refuse (AdvBench).
        harmful_development: requests for choices (HarmBench, validation part).
        harmful_evaluation: requests for the attacks (HarmBench, test part, then JailbreakBench).
        unsafe_contrasts: XSTest's unsafe twins; used nowhere, but kept out of every split.
        scary_safe: XSTest's safe prompts.
        refusable_benign: CoCoNot's contrast set.
        answered_scary: safe requests that sound risky, with helpful answers (CoCoNot, preference part).
        answered_plain: plain questions with helpful answers (CoCoNot, preference part).
        plain: instructions without answers (Alpaca).
    """

    harmful: list[Prompt]
    harmful_development: list[Prompt]
    harmful_evaluation: list[Prompt]
    unsafe_contrasts: list[Prompt]
    scary_safe: list[Prompt]
    refusable_benign: list[Prompt]
    answered_scary: list[Prompt]
    answered_plain: list[Prompt]
    plain: list[Prompt]


def read_csv(path: Path, required: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a CSV file.

    Raises:
        DataError: if the file or one of the columns is missing.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            rows = list(reader)
    except FileNotFoundError:
        raise _missing(path) from None
    absent = [name for name in required if name not in (reader.fieldnames or [])]
    if absent:
        raise DataError(
            str(path),
            expected=f"the columns {', '.join(required)}",
            found=f"no {', '.join(absent)}",
            fix="run `harc data fetch` for the registered file",
        )
    return rows


def _missing(path: Path) -> DataError:
    return DataError(str(path), expected="a public data file", found="none", fix="run `harc data fetch`")


def _make_prompts(rows: list[dict[str, Any]], source: str, names: dict[str, str]) -> list[Prompt]:
    """Prompts from rows; `names` says which columns hold text, kind and response. Empty ones are left out."""
    return [
        Prompt(
            row[names["text"]].strip(),
            source,
            (row.get(names.get("kind", "")) or "").strip(),
            (row.get(names.get("response", "")) or "").strip(),
        )
        for row in rows
        if row[names["text"]].strip()
    ]


def _read_harmbench(folder: Path, part: str) -> list[Prompt]:
    path = folder / f"harmbench/harmbench_behaviors_text_{part}.csv"
    rows = read_csv(path, ("Behavior", "FunctionalCategory", "SemanticCategory"))
    standard = [row for row in rows if row["FunctionalCategory"] == "standard"]
    return _make_prompts(standard, "harmbench", {"text": "Behavior", "kind": "SemanticCategory"})


def _read_alpaca(folder: Path) -> list[Prompt]:
    path = folder / "alpaca/alpaca_instructions.json"
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row.get("instruction"), str) for row in rows):
        raise DataError(
            str(path),
            expected="a list of objects with 'instruction'",
            found=json.dumps(rows)[:40],
            fix="run `harc data fetch alpaca`",
        )
    return _make_prompts(rows, "alpaca", {"text": "instruction"})


def read_public_prompts(folder: Path) -> PublicPrompts:
    """Read the registered files that rows are made from.

    Args:
        folder: where `harc data fetch` puts them.

    Raises:
        DataError: for a missing file or column.
    """
    advbench = read_csv(folder / "advbench/harmful_behaviors.csv", ("goal",))
    jailbreakbench = read_csv(folder / "jailbreakbench/harmful_behaviors.csv", ("Goal", "Category"))
    xstest = read_csv(folder / "xstest/xstest_prompts.csv", ("prompt", "type", "label"))
    contrast = read_jsonl(folder / "coconot/coconot_contrast_eval.jsonl", ("prompt", "subcategory"))
    answered = read_jsonl(
        folder / "coconot/coconot_pref.jsonl", ("prompt", "category", "subcategory", "chosen")
    )
    scary = [row for row in answered if row["category"] == "Requests with safety concerns"]
    plain = [row for row in answered if row["category"] == "Incomplete requests"]
    of_xstest = {"text": "prompt", "kind": "type"}
    of_coconot = {"text": "prompt", "kind": "subcategory", "response": "chosen"}
    return PublicPrompts(
        harmful=_make_prompts(advbench, "advbench", {"text": "goal"}),
        harmful_development=_read_harmbench(folder, "val"),
        harmful_evaluation=_read_harmbench(folder, "test")
        + _make_prompts(jailbreakbench, "jailbreakbench", {"text": "Goal", "kind": "Category"}),
        unsafe_contrasts=_make_prompts([r for r in xstest if r["label"] == "unsafe"], "xstest", of_xstest),
        scary_safe=_make_prompts([r for r in xstest if r["label"] == "safe"], "xstest", of_xstest),
        refusable_benign=_make_prompts(contrast, "coconot", {"text": "prompt", "kind": "subcategory"}),
        answered_scary=_make_prompts(scary, "coconot", of_coconot),
        answered_plain=_make_prompts(plain, "coconot", of_coconot),
        plain=_read_alpaca(folder),
    )
