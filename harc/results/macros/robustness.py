"""Macros of harmful fine-tuning and of answers read token by token; all exist in every profile, n/a where absent."""

from harc.results.latex import format_bounds, format_rate
from harc.results.macros.rows import Rows, find_row, pick_families
from harc.results.tables.layout import read_number
from harc.results.vocabulary import FAMILIES, camel

SUITES = {"direct": "Direct", "deepinception": "Attack", "scary_safe": "Scary"}
METHODS = ("base", "sft", "harc")
EXAMPLES = ("0", "10", "20", "40", "80", "160", "320")
READERS = ("base", "harc")
CLASSES = {
    "harmful_answered": "Answered",
    "harmful_answered_by_base": "OfBase",
    "harmful_refused": "Refused",
    "benign_answered": "Benign",
}


def _value(row: dict[str, str] | None, column: str, low: str, high: str, name: str) -> dict[str, str]:
    values = [read_number(row, end) for end in (column, low, high)]
    return {name: format_rate(values[0]), f"{name}Ci": format_bounds(*values)}


def list_finetuning(rows: Rows) -> dict[str, str]:
    """`\\FinetunedAttackHarcOneSixZeroLlama` and `...Ci`: a rate after fine-tuning on so many harmful answers."""
    families, macros = pick_families(rows), {}
    for suite, short in SUITES.items():
        for method in METHODS:
            for examples in EXAMPLES:
                for family in FAMILIES:
                    row = find_row(
                        rows, backbone=families.get(family), suite=suite, method=method, examples=examples
                    )
                    name = f"Finetuned{short}{camel(method)}{camel(examples)}{family}"
                    macros |= _value(row, "rate", "low", "high", name)
    return macros


def list_trajectories(rows: Rows) -> dict[str, str]:
    """`\\TracedHarmOfBaseHarcLlama` (mean cosine with harm), `\\TracedArea...` (AUC of harm) and `...Ci`."""
    families, macros = pick_families(rows), {}
    for held, short in CLASSES.items():
        for method in READERS:
            for family in FAMILIES:
                row = find_row(rows, backbone=families.get(family), method=method, **{"class": held})
                for column, kind in (("harm", "Harm"), ("refusal", "Refusal"), ("area", "Area")):
                    name = f"Traced{kind}{short}{camel(method)}{family}"
                    macros |= _value(row, column, f"{column}_low", f"{column}_high", name)
    return macros
