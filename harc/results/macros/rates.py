"""Macros of rates and of paired differences."""

from collections.abc import Iterable

from harc.results.latex import (format_bounds, format_p, format_rate, format_signed)
from harc.results.macros.rows import Rows, find_row, pick_families
from harc.results.phrases import phrase_by_family, phrase_headline, phrase_pooled
from harc.results.tables.layout import read_number
from harc.results.vocabulary import (ATTACKS, CONTROLS, DIRECT, FAMILIES, METHOD_ORDER, OVER_REFUSAL, POOLED, camel)
from harc.suites import MEANS, SUITES

RATE_MACROS = {rate.name: rate.macro for rate in (*SUITES.values(), *MEANS) if rate.macro}
TABLE1_RATES = ("mean_asr", *ATTACKS, *OVER_REFUSAL, "mean_helpfulness")
CONTROL_RATES = (*DIRECT, *CONTROLS)
PAIRS = (
    ("harc", "base"),
    ("harc", "sft"),
    ("harc", "no_coupling"),
    ("harc", "dpo"),
    ("harc", "cb"),
    ("harc", "repbend"),
    ("harc", "cast"),
    ("harc_dpo", "harc"),
    ("sft", "base"),
    ("no_coupling", "base"),
    ("harc_released", "base"),
    ("harc_released", "harc"),
)
COMPARED = ("mean_asr", "scary_safe", "refusable_benign", "mean_helpfulness", "benign", "wrapped_benign")


def list_rates(rows: Rows, metrics: Iterable[str]) -> dict[str, str]:
    """`\\AsrHarcLlama` and `...Ci` for each rate, method and family."""
    families, macros = pick_families(rows), {}
    for method in METHOD_ORDER:
        for family in FAMILIES:
            row = find_row(rows, backbone=families.get(family), method=method)
            for metric in metrics:
                name = f"{RATE_MACROS[metric]}{camel(method)}{family}"
                values = [read_number(row, f"{metric}{end}") for end in ("", "_low", "_high")]
                macros[name] = format_rate(values[0])
                macros[f"{name}Ci"] = format_bounds(*values)
    return macros


def list_differences(rows: Rows) -> dict[str, str]:
    """`\\DiffAsrHarcSftLlama`, `...Ci`, `...P`, and `\\AsrHarcVsSft`, a phrase over the backbones."""
    families, macros = pick_families(rows), {}
    for method, reference in PAIRS:
        for metric in COMPARED:
            words = {}
            for family in FAMILIES:
                backbone = families.get(family)
                row = find_row(rows, backbone=backbone, method=method, reference=reference, metric=metric)
                name = f"Diff{RATE_MACROS[metric]}{camel(method)}{camel(reference)}{family}"
                values = [read_number(row, column) for column in ("difference", "low", "high")]
                macros[name] = format_signed(values[0])
                macros[f"{name}Ci"] = format_bounds(*values)
                macros[f"{name}P"] = format_p(read_number(row, "p_holm"))
                if backbone:
                    words[family] = row["verdict"] if row else "not compared"
            name = f"{RATE_MACROS[metric]}{camel(method)}Vs{camel(reference)}"
            row = find_row(rows, backbone=POOLED, method=method, reference=reference, metric=metric)
            macros[name] = phrase_by_family(words)
            macros[f"{name}Pooled"] = phrase_pooled(row)
            macros[f"{name}Headline"] = phrase_headline(row) or phrase_by_family(words)
    return macros
