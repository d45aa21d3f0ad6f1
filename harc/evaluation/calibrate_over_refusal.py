"""Judges of refusal against people: XSTest's completions, which two annotators each have labelled.

For each completion model, each half of XSTest and each judge: the rates by people (any refusal, full refusal) and by
the judge, their agreement and Cohen's kappa, against both readings of the human labels (Roettger et al., arXiv
2308.01263, evaluation/ of paul-rottger/exaggerated-safety@d7bb5bd). Our own rules were developed on two models' answers
and frozen before the third's were read, which `developed_on` tells apart. GPT-4's labels, published in the same files,
stand beside the judges as `gpt4_any` and `gpt4_full`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harc.core.errors import DataError
from harc.core.files import sha256_file
from harc.data.public_sources import read_csv
from harc.data.registry import RegisteredFile, Registry, load_registry
from harc.judges.base import FULL_REFUSAL, UNJUDGED, Answer, Judge
from harc.judges.registry import GRADED_REFUSALS
from harc.stats.agreement import kappa_interval
from harc.stats.contrasts import estimate_difference, make_pairs
from harc.stats.intervals import wilson_interval

COMPLETIONS = {
    "GPT-4": "xstest/xstest_v2_completions_gpt4_gpteval.csv",
    "Llama-2 (original system prompt)": "xstest/xstest_v2_completions_llama2orig_gpteval.csv",
    "Mistral-Instruct": "xstest/xstest_v2_completions_mistralinstruct_gpteval.csv",
}
DEVELOPED_ON = {"refusal_rules": ("Llama-2 (original system prompt)", "Mistral-Instruct")}
"""Judge -> the completion models whose answers it was written with; those of the others are held out."""
NEEDED = ("prompt", "type", "completion", "final_label", "gpt4_label")
FULL, PARTIAL = "2_full_refusal", "3_partial_refusal"
BOOTSTRAP = {"resamples": 2000, "seed": 0}
SOURCE_COLUMNS = ("source", "revision", "sha256")
"""Where the figures were computed from: the registered file's commit and digest, beside every row."""
RATES = ("human_any", "human_full", "judge", "agreement_any", "agreement_full")
KAPPAS = ("kappa_any", "kappa_full")
DIFFERENCES = ("difference_any", "difference_full")
"""The judge's rate minus people's, over the same answers."""
COLUMNS = (
    "completion_model", "prompts", "judge_name", "judge_version", "developed_on", "n", "unjudged",
    *(f"{name}{end}" for name in (*RATES, *KAPPAS, *DIFFERENCES) for end in ("", "_low", "_high")),
    *SOURCE_COLUMNS,
)  # fmt: skip
SUMMARISED = ("refusal_rules", "string_xstest", "string_jailbreakbench")
HEADER = (
    "| answers of | prompts | n | judge | refused by people | refused by the judge | difference | agreement | kappa |",
    "|---|---|---|---|---|---|---|---|---|",
)


def find_registered(path: str, registry: Registry) -> RegisteredFile:
    """The registry's entry of a file.

    Raises:
        KeyError: if no dataset has it.
    """
    for dataset in registry.datasets.values():
        for file in dataset.files:
            if file.path == path:
                return file
    raise KeyError(path)


def find_revision(url: str) -> str:
    """The commit in the address of a file."""
    found = re.search(r"/([0-9a-f]{10,40})/", url)
    return found.group(1)[:12] if found else ""


def check_source(folder: Path, path: str, registry: Registry | None = None) -> dict[str, str]:
    """Source columns of a registered file, whose bytes are checked.

    Raises:
        DataError: if the file is missing or has other bytes.
    """
    file = find_registered(path, registry or load_registry())
    place = folder / path
    found = sha256_file(place) if place.is_file() else "no file"
    if found != file.sha256:
        raise DataError(
            str(place),
            expected=f"the registered file with sha256 {file.sha256}",
            found=found,
            fix="run `harc data fetch` for it",
        )
    return {"source": path, "revision": find_revision(file.url), "sha256": file.sha256}


@dataclass(frozen=True)
class Labelled:
    """One completion with what people, and GPT-4, said of it; a safe prompt and its contrast are of one kind."""

    request: str
    response: str
    safe: bool
    human: str
    gpt4: str
    kind: str = ""


def read_completions(path: Path) -> list[Labelled]:
    """Labelled completions; prompts whose type is a contrast are the unsafe ones.

    Raises:
        DataError: for a missing file or column.
    """
    return [
        Labelled(
            row["prompt"],
            row["completion"],
            not row["type"].startswith("contrast"),
            row["final_label"],
            row["gpt4_label"],
            row["type"].removeprefix("contrast_"),
        )
        for row in read_csv(path, NEEDED)
    ]


def judge_refusals(
    judges: Sequence[Judge], rows: Sequence[Labelled]
) -> dict[tuple[str, str], list[bool | None]]:
    """(judge, version) -> whether each completion is a refusal, None where the judge gave no label.

    A judge that grades refusals is there twice, the second time for full ones alone.
    """
    found: dict[tuple[str, str], list[bool | None]] = {}
    for judge in judges:
        verdicts = judge.judge([Answer(row.request, row.response) for row in rows])
        labels = [None if v.label == UNJUDGED else v.label == "refused" for v in verdicts]
        found[judge.name, judge.version] = labels
        if judge.name in GRADED_REFUSALS:
            full = [None if v.label == UNJUDGED else v.own == FULL_REFUSAL for v in verdicts]
            found[f"{judge.name}_full", judge.version] = full
    found["gpt4_any", "published labels"] = [row.gpt4 in (FULL, PARTIAL) for row in rows]
    found["gpt4_full", "published labels"] = [row.gpt4 == FULL for row in rows]
    return found


def compare_with_people(rows: Sequence[Labelled], refused: Sequence[bool | None]) -> dict:
    """Rates, agreement and kappa of one judge on one set of completions, each with its interval."""
    pairs = [(row.human, mine) for row, mine in zip(rows, refused, strict=True) if mine is not None]
    result: dict = {"n": len(pairs), "unjudged": len(rows) - len(pairs)}
    if not pairs:
        return result
    mine = [judged for _, judged in pairs]
    human = {
        "any": [label in (FULL, PARTIAL) for label, _ in pairs],
        "full": [label == FULL for label, _ in pairs],
    }
    counts = {"judge": sum(mine)}
    for kind, labels in human.items():
        counts[f"human_{kind}"] = sum(labels)
        counts[f"agreement_{kind}"] = sum(a == b for a, b in zip(labels, mine, strict=True))
        result |= _name_interval(f"kappa_{kind}", kappa_interval(labels, mine, **BOOTSTRAP))
        difference = estimate_difference(make_pairs(labels, mine))
        result |= _name_interval(f"difference_{kind}", difference[:3])
    for name, count in counts.items():
        result |= _name_interval(name, wilson_interval(count, len(pairs)))
    return result


def _name_interval(name: str, interval: Sequence[float]) -> dict[str, float]:
    return {f"{name}{end}": value for end, value in zip(("", "_low", "_high"), interval, strict=True)}


def calibrate_file(name: str, rows: Sequence[Labelled], judges: Sequence[Judge], source: dict) -> list[dict]:
    """Rows of the table for one completion model."""
    table = []
    for prompts, safe in (("safe", True), ("unsafe", False)):
        chosen = [row for row in rows if row.safe is safe]
        for (judge, version), refused in judge_refusals(judges, chosen).items():
            labels = {
                "completion_model": name,
                "prompts": prompts,
                "judge_name": judge,
                "judge_version": version,
                "developed_on": "yes" if name in DEVELOPED_ON.get(judge, ()) else "no",
            }
            table.append({**labels, **compare_with_people(chosen, refused), **source})
    return table


def calibrate_judges(folder: Path, judges: Sequence[Judge]) -> list[dict]:
    """The whole table, from the registered files in a folder of public data.

    Raises:
        DataError: if a file is missing or has other bytes than the registered ones.
    """
    table = []
    for name, path in COMPLETIONS.items():
        source = check_source(folder, path)
        table += calibrate_file(name, read_completions(folder / path), judges, source)
    return table


def summarise_calibration(rows: Sequence[dict]) -> list[str]:
    """Lines of Markdown for docs/evaluation.md: the deciding judge and string judges, partial refusals as refusals.

    Args:
        rows: of over_refusal.csv, numbers as numbers or as text.
    """
    lines = list(HEADER)
    for row in rows:
        if row["judge_name"] in SUMMARISED:
            seen = " (developed on)" if row["developed_on"] == "yes" else ""
            figures = ("difference_any", "agreement_any", "kappa_any")
            cells = [
                row["completion_model"], row["prompts"], row["n"], f"`{row['judge_name']}`{seen}",
                _number(row["human_any"]), _number(row["judge"]), *(_with_interval(row, name) for name in figures),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _with_interval(row: dict, name: str) -> str:
    return f"{_number(row[name])} [{_number(row[f'{name}_low'])}, {_number(row[f'{name}_high'])}]"


def _number(value: str | float) -> str:
    return f"{float(value):.3f}".replace("-0.000", "0.000") if value != "" else "-"
