"""Macros of the primary contrasts, of refusal under suppression, and of rates as one phrase over all backbones."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from harc.results.claims import VERDICTS
from harc.results.latex import MISSING, escape_latex, format_bounds, format_rate, format_signed, join_words
from harc.results.macros.rates import RATE_MACROS
from harc.results.macros.rows import Row, Rows, read_bounded
from harc.results.printer import ENDS
from harc.results.vocabulary import METHOD_ORDER, POOLED, camel, name_backbone

TABLE1_EACH, CONTROLS_EACH = ("mean_asr", "scary_safe"), ("direct", "benign")
CONDITIONS = (
    "none", "own", "own_set_harmless", "own_half_way", "base", "harm", "permuted", "random", "random_set_harmless",
    "random_half_way",
)  # fmt: skip
ARMS = ("permuted_label",)


def list_contrasts(rows: Rows) -> dict[str, str]:
    """`\\ContrastCount`, `\\ContrastSummary` (how many had which verdict), and `\\Contrast<Claim>`: its differences."""
    counts = Counter(row["verdict"] for row in rows)
    named = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    macros = {"ContrastCount": str(len(rows)), "ContrastSummary": escape_latex(join_words(named))}
    for claim in dict.fromkeys(row["claim"] for row in rows):
        own = [row for row in rows if row["claim"] == claim]
        values = {
            row["backbone"]: _show_signed(read_bounded(row, "", ("estimate", "low", "high"))) for row in own
        }
        macros[f"Contrast{camel(claim)}"] = phrase_each(values)
    return macros


def list_kept(rows: Rows) -> dict[str, str]:
    """`\\KeptOwnHarc`: harmful requests refused under a condition of suppression, with its interval."""
    macros: dict[str, str] = {}
    for condition in CONDITIONS:
        for method in (*METHOD_ORDER, *ARMS):
            own = _find_all(rows, condition=condition, method=method)
            values = {row["backbone"]: _show_rate(row, "", ("rate", "low", "high")) for row in own}
            macros[f"Kept{camel(condition)}{camel(method)}"] = phrase_each(values)
    return macros


def list_each(rows: Rows, metrics: Iterable[str]) -> dict[str, str]:
    """`\\EachAsrHarc`: a rate of a method on every backbone, with its interval."""
    macros: dict[str, str] = {}
    for metric in metrics:
        for method in METHOD_ORDER:
            own = _find_all(rows, method=method)
            values = {row["backbone"]: _show_rate(row, metric) for row in own if row.get(metric)}
            macros[f"Each{RATE_MACROS[metric]}{camel(method)}"] = phrase_each(values)
    return macros


def phrase_each(values: Mapping[str, str]) -> str:
    """`a`, or `a on one backbone and b on the other`; n/a for none."""
    if len(values) < 2:
        return next(iter(values.values()), MISSING)
    return join_words([f"{value} on {escape_latex(name_backbone(name))}" for name, value in values.items()])


def _find_all(rows: Rows, **wanted: str) -> list[Row]:
    return [
        row
        for row in rows
        if row["backbone"] != POOLED and all(row.get(name) == value for name, value in wanted.items())
    ]


def _show_rate(row: Row, column: str, ends: tuple[str, ...] = ENDS) -> str:
    value, low, high = read_bounded(row, column, ends)
    return f"{format_rate(value)} {format_bounds(value, low, high)}"


def _show_signed(values: Sequence[float | None]) -> str:
    value, low, high = values
    return f"{format_signed(value)} {format_bounds(value, low, high)}"
