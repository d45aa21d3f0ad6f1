"""Macros of how much was run: models, defences, judged answers; and which criteria a backbone missed."""

from collections.abc import Iterable

from harc.results.latex import MISSING, escape_latex
from harc.results.macros.rates import CONTROL_RATES, TABLE1_RATES
from harc.results.macros.rows import Rows
from harc.results.phrases import join_words
from harc.results.vocabulary import name_backbone, name_suite


def _count_answers(rows: Rows, metrics: Iterable[str]) -> int:
    """Judged prompts or goals over all models and seeds; means are made of suites that are counted already."""
    suites = [metric for metric in metrics if not metric.startswith("mean_")]
    return sum(int(row["seeds"]) * int(row.get(f"{suite}_n") or 0) for row in rows for suite in suites)


def list_counts(table1: Rows, controls: Rows) -> dict[str, str]:
    """`\\ModelsTrained` (backbones), `\\DefencesMade`, `\\ModelsEvaluated`, `\\AnswersJudged`."""
    base = sum(int(row["seeds"]) for row in table1 if row["method"] == "base")
    every = sum(int(row["seeds"]) for row in table1)
    helpful = [name.removesuffix("_n") for name in (table1[0] if table1 else ()) if name.endswith("_n")]
    answers = _count_answers(table1, {*TABLE1_RATES, *helpful}) + _count_answers(controls, CONTROL_RATES)
    counts = {
        "ModelsTrained": base,
        "DefencesMade": every - base,
        "ModelsEvaluated": every,
        "AnswersJudged": answers,
    }
    return {name: f"{value:,}".replace(",", "\\,") if value else MISSING for name, value in counts.items()}


def list_unmet(acceptance: Rows) -> dict[str, str]:
    """`\\AcceptanceUnmet`: every criterion that a backbone missed, by name."""
    unmet = [
        f"{name_suite(row['criterion'])} ({name_backbone(row['backbone'])}, seed {row['seed']})"
        for row in acceptance
        if row["holds"] != "True"
    ]
    return {"AcceptanceUnmet": escape_latex(join_words(unmet))}
