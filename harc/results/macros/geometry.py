"""Macros of cosines, of areas under the curve, and of the coupling loss."""

from harc.results.latex import MISSING, escape_latex, format_rate, format_signed, is_missing
from harc.results.macros.rows import Rows, find_by_family, find_row, pick_families, read_bounded, show_bounded
from harc.results.phrases import phrase_by_family, phrase_gain
from harc.results.printer import read_number
from harc.results.vocabulary import FAMILIES, METHOD_ORDER, camel


def list_geometry(rows: Rows) -> dict[str, str]:
    """`\\CosPromptHarcLlama`, `\\GainPromptHarcLlama` and `Ci`, the base's peak, phrases about the gain."""
    families, macros = pick_families(rows), {}
    for side in ("prompt", "response"):
        for method in METHOD_ORDER:
            words = {}
            for family, row in find_by_family(rows, method=method, side=side):
                name = f"{camel(side)}{camel(method)}{family}"
                macros[f"Cos{name}"] = format_rate(read_number(row, "cosine"))
                gain = read_bounded(row, "gain")
                macros |= show_bounded(f"Gain{name}", gain, format_signed)
                if method == "base":
                    macros[f"Peak{name}"] = format_rate(read_number(row, "peak_cosine"))
                    macros[f"PeakSlot{name}"] = (row or {}).get("peak_slot") or MISSING
                    macros[f"Last{name}"] = format_rate(read_number(row, "last_cosine"))
                    macros[f"Slots{name}"] = escape_latex((row or {}).get("slots") or MISSING)
                elif family in families:
                    words[family] = phrase_gain(*gain)
            if method != "base":
                macros[f"Gain{camel(side)}{camel(method)}"] = phrase_by_family(words)
    return macros


def list_areas(rows: Rows) -> dict[str, str]:
    """Smallest, largest and direct area: `\\AreaHarmPromptMinLlama` and so on."""
    families, macros = pick_families(rows), {}
    for family in FAMILIES:
        for side, axis in (("prompt", "harm"), ("prompt", "refusal"), ("response", "harm")):
            key = {"backbone": families.get(family), "side": side, "axis": axis}
            own = [row for row in rows if all(row.get(k) == v for k, v in key.items())]
            areas = [read_number(row, "area") for row in own if row["suite"] != "direct"]
            values = [area for area in areas if not is_missing(area)]
            name = f"Area{camel(axis)}{camel(side)}"
            macros[f"{name}Min{family}"] = format_rate(min(values, default=None))
            macros[f"{name}Max{family}"] = format_rate(max(values, default=None))
            macros[f"{name}Direct{family}"] = format_rate(read_number(find_row(own, suite="direct"), "area"))
    return macros


def list_training(rows: Rows) -> dict[str, str]:
    """`\\CoupleFirstHarcLlama`, `\\CoupleLastHarcLlama`: the prompt-side coupling loss at both ends."""
    return {
        f"Couple{camel(end)}{camel(method)}{family}": format_rate(read_number(row, f"couple_{end}"), 3)
        for method in METHOD_ORDER
        for family, row in find_by_family(rows, method=method)
        for end in ("first", "last")
    }
