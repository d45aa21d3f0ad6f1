"""Loss terms at the start and at the end of training: did each term start high, and did it fall?"""

import math
from collections.abc import Sequence
from pathlib import Path

from harc.results.latex import MISSING, UNDEFINED, escape_latex
from harc.results.tables.layout import Table, title_row
from harc.results.training_logs import TERMS, read_logs, read_term
from harc.results.vocabulary import name_backbone, name_method, sort_methods
from harc.core.artifacts import BASE

WINDOW = 0.1  # share of the logged rows averaged at each end, at least one row
COLUMNS = ("backbone", "method", "seeds", *(f"{term}_{end}" for term in TERMS for end in ("first", "last")))
Ends = tuple[float, float] | None


def measure_ends(logs: Sequence[Sequence[dict]], term: str) -> Ends:
    """Mean of a term over the first and over the last tenth of the log, over seeds; None if it is not logged."""
    ends = []
    for rows in logs:
        _, values = read_term(rows, term)
        if values:
            width = max(1, round(WINDOW * len(values)))
            ends.append((sum(values[:width]) / width, sum(values[-width:]) / width))
    if not ends:
        return None
    return sum(first for first, _ in ends) / len(ends), sum(last for _, last in ends) / len(ends)


def _cell(ends: Ends) -> str:
    if ends is None:
        return MISSING
    return f"{_format_loss(ends[0])} $\\to$ {_format_loss(ends[1])}"


def _format_loss(value: float) -> str:
    """Three decimals, or a power of ten where these would show nothing but zeros."""
    if math.isnan(value):
        return UNDEFINED
    if value == 0 or abs(value) >= 0.0005:
        return f"{value:.3f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"${mantissa}\\times 10^{{{int(exponent)}}}$"


def _break_label(label: str) -> str:
    return label.replace(", ", r" \\ ").replace(" on ", r" \\ on ")


def build_table(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> Table:
    """The table; a term that a method logs without training on it is a control, and n/a is no log."""
    rows, body = [], []
    for backbone in backbones:
        body += ["\\addlinespace"] if body else []
        body.append(title_row(name_backbone(backbone), len(TERMS) + 1))
        for method in sort_methods([method for method in methods if method != BASE]):
            logs = read_logs(results_root, backbone, method, seeds)
            ends = {term: measure_ends(list(logs.values()), term) for term in TERMS}
            row: dict[str, object] = {"backbone": backbone, "method": method, "seeds": len(logs)}
            for term, pair in ends.items():
                if pair:
                    row |= {f"{term}_first": pair[0], f"{term}_last": pair[1]}
            rows.append(row)
            cells = " & ".join(_cell(ends[term]) for term in TERMS)
            body.append(f"{escape_latex(name_method(method))} & {cells} \\\\")
    heads = [f"\\shortstack[l]{{{_break_label(label)}}}" for label in TERMS.values()]
    header = [" & ".join(["", *heads])]
    notes = [
        "Means over the first and the last tenth of the logged steps (and over seeds), before weighting. "
        f"{MISSING}: the method does not compute the term."
    ]
    return Table("training", COLUMNS, rows, "@{}l" + "l" * len(TERMS) + "@{}", header, body, notes)
