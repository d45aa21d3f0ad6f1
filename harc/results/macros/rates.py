"""Macros of rates and of paired differences; of rates after fine-tuning, and of answers read token by token."""

from collections.abc import Iterable

from harc.results.latex import format_p, format_signed, phrase_by_family, phrase_headline, phrase_pooled
from harc.results.macros.rows import Rows, find_by_family, find_row, pick_families, read_bounded, show_bounded
from harc.results.printer import read_number
from harc.results.vocabulary import ATTACKS, CONTROLS, DIRECT, METHOD_ORDER, OVER_REFUSAL, POOLED, camel
from harc.suites import registry as suites

RATE_MACROS = {rate.name: rate.macro for rate in suites.RATES if rate.macro}
TABLE1_RATES = ("mean_asr", *ATTACKS, *OVER_REFUSAL, "mean_helpfulness")
CONTROL_RATES = (*DIRECT, *CONTROLS)
PAIRS = (
    *(("harc", reference) for reference in ("base", "sft", "no_coupling", "dpo", "cb", "repbend", "cast")),
    ("harc_dpo", "harc"),
    ("sft", "base"),
    ("no_coupling", "base"),
    ("harc_released", "base"),
    ("harc_released", "harc"),
)
COMPARED = ("mean_asr", "scary_safe", "refusable_benign", "mean_helpfulness", "benign", "wrapped_benign")
SUITES = {"direct": "Direct", "deepinception": "Attack", "scary_safe": "Scary"}
TUNED = ("base", "sft", "harc")
EXAMPLES = ("0", "10", "20", "40", "80", "160", "320")
READERS = ("base", "harc")
CLASSES = {
    "harmful_answered": "Answered",
    "harmful_answered_by_base": "OfBase",
    "harmful_refused": "Refused",
    "benign_answered": "Benign",
}


def list_rates(rows: Rows, metrics: Iterable[str]) -> dict[str, str]:
    """`\\AsrHarcLlama` and `...Ci` for each rate, method and family."""
    macros: dict[str, str] = {}
    for method in METHOD_ORDER:
        for family, row in find_by_family(rows, method=method):
            for metric in metrics:
                name = f"{RATE_MACROS[metric]}{camel(method)}{family}"
                macros |= show_bounded(name, read_bounded(row, metric))
    return macros


def list_differences(rows: Rows) -> dict[str, str]:
    """`\\DiffAsrHarcSftLlama`, `...Ci`, `...P`, and `\\AsrHarcVsSft`, a phrase over the backbones."""
    families = pick_families(rows)
    macros: dict[str, str] = {}
    for method, reference in PAIRS:
        for metric in COMPARED:
            wanted, words = {"method": method, "reference": reference, "metric": metric}, {}
            for family, row in find_by_family(rows, **wanted):
                name = f"Diff{RATE_MACROS[metric]}{camel(method)}{camel(reference)}{family}"
                values = read_bounded(row, "", ("difference", "low", "high"))
                macros |= show_bounded(name, values, format_signed)
                macros[f"{name}P"] = format_p(read_number(row, "p_holm"))
                if family in families:
                    words[family] = row["verdict"] if row else "not compared"
            name = f"{RATE_MACROS[metric]}{camel(method)}Vs{camel(reference)}"
            row = find_row(rows, backbone=POOLED, **wanted)
            macros[name] = phrase_by_family(words)
            macros[f"{name}Pooled"] = phrase_pooled(row)
            macros[f"{name}Headline"] = phrase_headline(row) or phrase_by_family(words)
    return macros


def list_finetuning(rows: Rows) -> dict[str, str]:
    """`\\FinetunedAttackHarcOneSixZeroLlama` and `...Ci`: a rate after fine-tuning on so many harmful answers."""
    macros: dict[str, str] = {}
    for suite, short in SUITES.items():
        for method in TUNED:
            for examples in EXAMPLES:
                for family, row in find_by_family(rows, suite=suite, method=method, examples=examples):
                    name = f"Finetuned{short}{camel(method)}{camel(examples)}{family}"
                    macros |= show_bounded(name, read_bounded(row, "", ("rate", "low", "high")))
    return macros


def list_trajectories(rows: Rows) -> dict[str, str]:
    """`\\TracedHarmOfBaseHarcLlama` (mean cosine with harm), `\\TracedArea...` (AUC of harm) and `...Ci`."""
    macros: dict[str, str] = {}
    for held, short in CLASSES.items():
        for method in READERS:
            for family, row in find_by_family(rows, method=method, **{"class": held}):
                for column in ("harm", "refusal", "area"):
                    name = f"Traced{camel(column)}{short}{camel(method)}{family}"
                    macros |= show_bounded(name, read_bounded(row, column))
    return macros
