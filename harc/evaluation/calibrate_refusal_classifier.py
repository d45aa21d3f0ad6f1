"""The refusal classifier against people, on models and prompts that it was not trained on, beside rules and GPT-4.

Rows by answering model (and all together), half of XSTest, length of what is read, and judge. `refusal_classifier`
leaves out the answers of which it is unsure, by a band that was chosen on the other models' answers;
`refusal_classifier_forced` decides all at even odds. `refusal_rules`, whose verdict is one of the features, was written
with Llama-2's and Mistral's answers in sight (`developed_on`), so that GPT-4's alone are new to both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from harc.evaluation.calibrate_over_refusal import (
    DEVELOPED_ON,
    FULL,
    PARTIAL,
    Labelled,
)
from harc.evaluation.train_judge import (
    COMPLIANCE,
    HEAD,
    Examples,
    choose_sureness_without,
    make_examples,
    predict_held_out,
    read_labelled,
)
from harc.judges.base import Answer
from harc.judges.registry import make_judges
from harc.stats.agreement import agreement_interval, kappa_interval
from harc.stats.calibration import brier_interval, expected_calibration_error, tabulate_reliability

NAME = "refusal_classifier"
FORCED = f"{NAME}_forced"
RULES = ("refusal_rules", "string_xstest", "string_jailbreakbench")
BOOTSTRAP: dict[str, Any] = {"resamples": 1000, "seed": 0}  # over prompts
ALL, HALVES = "all", {"all": None, "safe": True, "unsafe": False}
TEXTS = {"whole": None, f"first {HEAD} characters": HEAD}
WITH_INTERVAL = ("agreement_any", "kappa_any", "agreement_full", "kappa_full", "brier")
COLUMNS = (
    "completion_model", "prompts", "text", "judge_name", "developed_on", "n", "unsure", "sure_from", "human_any",
    "human_full", "judge", *(f"{name}{end}" for name in WITH_INTERVAL for end in ("", "_low", "_high")), "ece",
    "sha256",
)  # fmt: skip
RELIABILITY_COLUMNS = (
    "completion_model", "text", "low", "high", "n", "predicted", "observed", "observed_low", "observed_high",
)  # fmt: skip
HEADER = (
    "| answers of | text | judge | n | unsure | refused by people | by the judge | agreement | kappa | Brier | ECE |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True)
class Said:
    """What one judge says of one text; `probability` is the classifier's alone, `refused` None where it is unsure."""

    model: str
    row: Labelled
    text: str
    refused: bool | None
    probability: float | None = None
    sure: float | None = None


def judge_held_out(rows: dict[str, list[Labelled]], examples: Examples) -> dict[str, list[Said]]:
    """What every judge says of every completion, whole and cut; by judge."""
    every = [(model, row) for model, members in rows.items() for row in members]
    places = [(model, row, text) for text in TEXTS for model, row in every]
    probabilities = predict_held_out(examples, list(rows))
    sure = {model: choose_sureness_without(probabilities, examples, model) for model in rows}
    found: dict[str, list[Said]] = {NAME: [], FORCED: []}
    for (model, row, text), value in zip(places, map(float, probabilities), strict=True):
        decided = max(value, 1 - value) >= sure[model]
        verdict = value >= 0.5
        found[NAME].append(Said(model, row, text, verdict if decided else None, value, sure[model]))
        found[FORCED].append(Said(model, row, text, verdict, value))
    for judge in make_judges(RULES, ""):
        answers = [Answer(row.request, row.response.strip()[: TEXTS[text]]) for _, row, text in places]
        found[judge.name] = [
            Said(*place, verdict.label == "refused")
            for place, verdict in zip(places, judge.judge(answers), strict=True)
        ]
    found["gpt4_any"] = [
        Said(*place, place[1].gpt4 in (FULL, PARTIAL)) for place in places if place[2] == "whole"
    ]
    return found


def compare(said: Sequence[Said]) -> dict:
    """Agreement with people on the decided ones; Brier score and calibration error, where there are probabilities."""
    decided = [one for one in said if one.refused is not None]
    result: dict = {"n": len(decided), "unsure": len(said) - len(decided)}
    if not decided:
        return result
    prompts = [one.row.request for one in decided]
    mine = [bool(one.refused) for one in decided]
    for reading in ("any", "full"):
        people = [
            one.row.human != COMPLIANCE if reading == "any" else one.row.human == FULL for one in decided
        ]
        result |= {f"human_{reading}": float(np.mean(people)), "judge": float(np.mean(mine))}
        result |= _name(f"agreement_{reading}", agreement_interval(people, mine, prompts, **BOOTSTRAP))
        result |= _name(f"kappa_{reading}", kappa_interval(people, mine, prompts, **BOOTSTRAP))
    if decided[0].probability is not None:
        values = np.array([one.probability for one in decided])
        events = np.array([one.row.human != COMPLIANCE for one in decided])
        result |= _name("brier", brier_interval(values, events, prompts, **BOOTSTRAP))
        result["ece"] = expected_calibration_error(tabulate_reliability(values, events))
    return result


def _name(name: str, interval: Sequence[float]) -> dict[str, float]:
    return {f"{name}{end}": value for end, value in zip(("", "_low", "_high"), interval, strict=True)}


def _select(said: Sequence[Said], model: str, half: str, text: str) -> list[Said]:
    safe = HALVES[half]
    return [
        one for one in said if model in (ALL, one.model) and safe in (None, one.row.safe) and one.text == text
    ]


def _describe_development(judge: str, model: str, models: Sequence[str]) -> str:
    """Whether a judge was written with any of these answers in sight; the classifier's feature counts as the rule."""
    seen = DEVELOPED_ON.get("refusal_rules" if judge in (NAME, FORCED) else judge, ())
    return "yes" if set(seen) & set(models if model == ALL else [model]) else "no"


def measure_classifier(
    rows: dict[str, list[Labelled]], sources: Sequence[dict[str, str]]
) -> tuple[list[dict], list[dict]]:
    """Rows of the table of judges, and of the reliability table."""
    judged = judge_held_out(rows, make_examples(rows))
    digests = dict(zip(rows, (source["sha256"] for source in sources), strict=True))
    table, reliability = [], []
    for model, half, text, judge in product((*rows, ALL), HALVES, TEXTS, judged):
        chosen = _select(judged[judge], model, half, text)
        if chosen:
            names = {"completion_model": model, "prompts": half, "text": text, "judge_name": judge}
            told = {
                "developed_on": _describe_development(judge, model, list(rows)),
                "sure_from": chosen[0].sure if model != ALL else None,
                "sha256": digests.get(model),
            }
            table.append({**names, **told, **compare(chosen)})
    for model, text in product((*rows, ALL), TEXTS):
        chosen = _select(judged[FORCED], model, ALL, text)
        values = np.array([one.probability for one in chosen])
        events = np.array([one.row.human != COMPLIANCE for one in chosen])
        for found in tabulate_reliability(values, events):
            bounds = _name("observed", found.observed)
            reliability.append({"completion_model": model, "text": text, **found._asdict(), **bounds})
    return table, reliability


def measure_from_folder(folder: Path) -> tuple[list[dict], list[dict]]:
    """Both tables from the registered files in a folder of public data.

    Raises:
        DataError: see `read_labelled`.
    """
    return measure_classifier(*read_labelled(folder))


def summarise_classifier(rows: Sequence[dict]) -> list[str]:
    """Lines of Markdown for docs/evaluation.md: both halves of XSTest together, of heads the classifier alone.

    Args:
        rows: of the table of judges, numbers as numbers or as text.
    """
    lines = list(HEADER)
    for row in rows:
        if row["prompts"] != ALL or (row["text"] != "whole" and row["judge_name"] != NAME):
            continue
        seen = " (rules developed on)" if row["developed_on"] == "yes" else ""
        cells = [
            row["completion_model"], row["text"], f"`{row['judge_name']}`{seen}", row["n"], row["unsure"],
            _number(row["human_any"]), _number(row["judge"]),
            *(_with_interval(row, name) for name in ("agreement_any", "kappa_any", "brier")), _number(row["ece"]),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _number(value: str | float | None) -> str:
    return "-" if value in ("", None) else f"{float(value):.3f}"


def _with_interval(row: dict, name: str) -> str:
    if row.get(name) in ("", None):
        return "-"
    return f"{_number(row[name])} [{_number(row[f'{name}_low'])}, {_number(row[f'{name}_high'])}]"
