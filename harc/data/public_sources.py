"""Prompts of the registered public files, each with its dataset and kind: reading only, no choice of rows.

What is read and what is left out: HarmBench's `standard` behaviours (its contextual ones need a context, its
copyright ones are judged by hashes); every prompt of AdvBench, JailbreakBench, XSTest, CoCoNot's contrast sets and
Alpaca. No harmful completion is read: the published openings of such answers stay in their files.
"""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.files import read_json, read_jsonl
from harc.suites.pap import TAXONOMY_FILE, Technique, read_taxonomy

XSTEST_GPT4 = "xstest/xstest_v2_completions_gpt4_gpteval.csv"
FULL_COMPLIANCE = "1_full_compliance"
COCONOT_SAFETY = "Requests with safety concerns"
DATASETS = ("advbench", "alpaca", "coconot", "harmbench", "jailbreakbench", "pap", "xstest")


@dataclass(frozen=True)
class Prompt:
    """One prompt of a public dataset.

    Attributes:
        text: what is asked.
        source: the dataset's name in the registry.
        kind: the dataset's own class of the prompt.
        response: a helpful or safe answer, where the dataset has one.
        rejected: an unsafe answer, where the dataset has one.
        subsets: names of the groups of prompts that it is reported in, beside its suite.
    """

    text: str
    source: str
    kind: str
    response: str = ""
    rejected: str = ""
    subsets: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublicPrompts:
    """Every prompt by what it can be used for, in the order of the files.

    Attributes:
        harmful: requests to learn to refuse (AdvBench).
        harmful_development: requests for choices (HarmBench, validation part).
        harmful_evaluation: requests for the attacks (HarmBench, test part, then JailbreakBench).
        unsafe_contrasts: XSTest's unsafe twins.
        scary_safe: XSTest's safe prompts.
        refusable_benign: CoCoNot's contrast set.
        answered_scary: safe requests that sound risky, with helpful answers (CoCoNot, preference part).
        answered_plain: plain questions with helpful answers (CoCoNot, preference part).
        plain: instructions without answers (Alpaca).
        techniques: ways to persuade, for PAP (its taxonomy).
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
    techniques: list[Technique]


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


def read_xstest(folder: Path) -> tuple[list[Prompt], list[Prompt]]:
    """(safe prompts, unsafe contrasts) of XSTest, each with its subsets.

    The release trains HARC on the 230 rows whose GPT-4 answer is labelled as full compliance by people, and Circuit
    Breakers retain the same ones (main/data.py@c3565e5): 229 safe prompts and one contrast, `xstest_release`. The 21
    other safe prompts are `xstest_unseen`.
    """
    rows = read_csv(folder / "xstest/xstest_prompts.csv", ("id", "prompt", "type", "label"))
    answers = read_csv(folder / XSTEST_GPT4, ("id", "final_label"))
    trained = {row["id"].removeprefix("v2-") for row in answers if row["final_label"] == FULL_COMPLIANCE}
    found: dict[str, list[Prompt]] = {"safe": [], "unsafe": []}
    for row in rows:
        subsets = [f"xstest_{row['label']}"]
        if row["id"] in trained:
            subsets.append("xstest_release")
        elif row["label"] == "safe":
            subsets.append("xstest_unseen")
        found[row["label"]].append(
            Prompt(row["prompt"].strip(), "xstest", row["type"], subsets=tuple(subsets))
        )
    return found["safe"], found["unsafe"]


def _read_contrast(rows: list[dict[str, Any]]) -> list[Prompt]:
    """CoCoNot's contrast set; its safety part is what the published figures seem to be measured on."""
    prompts = _make_prompts(rows, "coconot", {"text": "prompt", "kind": "subcategory"})
    safety = {row["subcategory"] for row in rows if row["category"] == COCONOT_SAFETY}
    return [
        replace(p, subsets=("coconot_contrast", *(("coconot_safety",) if p.kind in safety else ())))
        for p in prompts
    ]


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
    safe, unsafe = read_xstest(folder)
    contrast = read_jsonl(
        folder / "coconot/coconot_contrast_eval.jsonl", ("prompt", "category", "subcategory")
    )
    answered = read_jsonl(
        folder / "coconot/coconot_pref.jsonl", ("prompt", "category", "subcategory", "chosen")
    )
    scary = [row for row in answered if row["category"] == COCONOT_SAFETY]
    plain = [row for row in answered if row["category"] == "Incomplete requests"]
    of_coconot = {"text": "prompt", "kind": "subcategory", "response": "chosen"}
    return PublicPrompts(
        harmful=_make_prompts(advbench, "advbench", {"text": "goal"}),
        harmful_development=_read_harmbench(folder, "val"),
        harmful_evaluation=_read_harmbench(folder, "test")
        + _make_prompts(jailbreakbench, "jailbreakbench", {"text": "Goal", "kind": "Category"}),
        unsafe_contrasts=unsafe,
        scary_safe=safe,
        refusable_benign=_read_contrast(contrast),
        answered_scary=_make_prompts(scary, "coconot", of_coconot),
        answered_plain=_make_prompts(plain, "coconot", of_coconot),
        plain=_read_alpaca(folder),
        techniques=read_taxonomy(folder / TAXONOMY_FILE),
    )
