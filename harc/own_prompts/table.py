"""The table that `harc evaluate` prints: by category, missed harm beside false refusals."""

import math
from collections.abc import Sequence
from typing import Any

HEADINGS = {"missed_harm": "missed harm", "false_refusal": "false refusals"}


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """One line per suite and category, by the first judge that can give each rate.

    Categories come from the user's file, whose reader lets no control character through.
    """
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["suite"], row["category"]), {}).setdefault(row["metric"], row)
    shown = [name for name in HEADINGS if any(name in found for found in groups.values())]
    if not shown:
        shown = ["refused"]
    lines = [["suite", "category", *(HEADINGS.get(name, name) for name in shown)]]
    for (suite, category), found in groups.items():
        lines.append([suite, category, *(format_rate(found.get(name)) for name in shown)])
    return align_columns(lines)


def align_columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text with aligned columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(text)


def format_rate(row: dict[str, Any] | None) -> str:
    """12/40 = 0.30 [0.18, 0.45], and what was left out."""
    if row is None:
        return "-"
    left_out = f", {row['unjudged']} unjudged" if row.get("unjudged") else ""
    if not row["n"]:
        return f"none{left_out}"
    interval = f"[{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    return f"{row['successes']}/{row['n']} = {row['rate']:.2f} {interval}{left_out}"


def format_agreement(found: Sequence[tuple[str, str, float, int]]) -> list[str]:
    """One line per pair of judges."""
    return [
        f"refusals of {first} and {other} on {count} answers: "
        + ("every answer got one label from both" if math.isnan(kappa) else f"Cohen's kappa {kappa:.2f}")
        for first, other, kappa, count in found
    ]
