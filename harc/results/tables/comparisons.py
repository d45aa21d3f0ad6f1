"""Paired comparisons: every method against base, the HARC variants against SFT and against no coupling."""

import math
from collections.abc import Sequence
from statistics import median

from harc.results.comparisons import Comparison, compare_methods, describe_change
from harc.results.latex import MISSING, escape_latex, format_rate, format_signed, is_missing
from harc.results.ledger import load_claims
from harc.results.printer import (
    BY_BACKBONE,
    NOT_EVALUATED,
    Column,
    Record,
    Table,
    format_tight,
    make_frame,
    set_small,
)
from harc.results.rates import POWER
from harc.results.view import Results
from harc.results.vocabulary import name_method, name_suite, note_attacks

COLUMNS = (
    "backbone", "method", "reference", "metric", "difference", "low", "high", "p", "p_holm", "only_reference",
    "only_method", "n", "seeds", "seeds_lower", "mde", "verdict", "degrees", "p_flip", "question",
)  # fmt: skip
PRINTED = ("mean_asr", "scary_safe", "refusable_benign", "mean_helpfulness")


def _make_row(comparison: Comparison, confidence: float) -> dict:
    difference = comparison.difference
    row = {
        "backbone": comparison.backbone,
        "method": comparison.method,
        "reference": comparison.reference,
        "metric": comparison.metric,
        "p_holm": comparison.holm,
        "question": comparison.question,
        "verdict": describe_change(
            difference and difference.estimate, comparison.holm, difference.seeds if difference else 0
        ),
    }
    if difference:
        row |= {
            "difference": difference.estimate,
            "low": difference.low,
            "high": difference.high,
            "p": difference.p,
            "only_reference": difference.only_first,
            "only_method": difference.only_second,
            "n": difference.n,
            "seeds": difference.seeds,
            "seeds_lower": difference.seeds_lower,
            "mde": difference.find_detectable(confidence),
            "degrees": None if math.isinf(difference.degrees) else difference.degrees,
            "p_flip": difference.p_flip,
        }
    return row


def _show_difference(row: Record | None) -> str:
    if row is None or row["difference"] is None:
        return NOT_EVALUATED
    mark = "$^*$" if row["verdict"] in ("lower", "higher") else ""
    lower = f"~{row['seeds_lower']}/{row['seeds']}" if row["seeds"] > 1 else ""
    return (
        f"{format_signed(row['difference'])}{mark} {set_small(format_tight(row['low'], row['high']) + lower)}"
    )


def _show_detectable(section: list[Record]) -> str:
    """The line under a backbone: per column, the median of the smallest differences that its tests would show."""
    cells = ["\\emph{detectable (median)}"]
    for metric in PRINTED:
        found = [row["mde"] for row in section if row["metric"] == metric and not is_missing(row["mde"])]
        cells.append(set_small(format_rate(median(found)) if found else MISSING))
    return " & ".join(cells)


def _write_notes(rows: Sequence[Record], confidence: float) -> list[str]:
    shown = [row for row in rows if row["metric"] in PRINTED]
    sizes = {metric: [r["n"] for r in shown if r["metric"] == metric and r.get("n")] for metric in PRINTED}
    seeds = max((row["seeds"] for row in rows if row.get("seeds")), default=0)
    counts = ", ".join(f"{name_suite(metric)} {(sizes[metric] or [MISSING])[0]}" for metric in PRINTED)
    notes = [
        f"Differences on the same prompts with {100 * confidence:g}\\% intervals.",
        f"Prompts per seed: {counts}; seeds: {seeds or MISSING}.",
        f"$^*$ Holm-adjusted $p < {format_rate(0.05)}$, over several seeds: within its column and backbone, of "
        "differences that a claim is about within the claims on that question.",
        f"Detectable: the smallest difference that the paired test would show with power {POWER:g}.",
    ]
    notes += (
        ["Fractions: training runs in which the difference is below zero."]
        if seeds > 1
        else ["One training seed: intervals speak of prompts alone, and nothing is decided."]
    )
    if any(row.get("difference") is None for row in shown):
        notes.append(f"$^\\dagger$ {MISSING}: one of the two was not evaluated.")
    return notes


def _show_pair(row: Record) -> str:
    return escape_latex(f"{name_method(row['method'])} vs {name_method(row['reference'])}")


def build_comparisons(view: Results) -> Table:
    """The comparisons; the CSV holds every suite, the printed table the four summary columns."""
    found = compare_methods(view, view.every_method, load_claims(view.claims))
    rows = [_make_row(comparison, view.confidence) for comparison in found]
    columns = [Column("", _show_pair)]
    columns += [Column(escape_latex(name_suite(m)), _show_difference, where={"metric": m}) for m in PRINTED]
    return Table(
        "comparisons",
        make_frame(COLUMNS, rows),
        columns,
        lines=("method", "reference"),
        **BY_BACKBONE,
        foot=_show_detectable,
        notes=[*_write_notes(rows, view.confidence), *note_attacks(view.mean_attacks)],
        long=True,
    )
