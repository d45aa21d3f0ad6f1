"""Paired comparisons: every method against base, the HARC variants against SFT and against no coupling."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from harc.results.comparisons import Comparison, compare_methods, describe_change
from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate, format_signed)
from harc.results.rates import POWER
from harc.results.tables.layout import Table, title_row
from harc.results.vocabulary import name_backbone, name_method, name_suite

COLUMNS = (
    "backbone",
    "method",
    "reference",
    "metric",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "only_reference",
    "only_method",
    "n",
    "seeds",
    "seeds_lower",
    "mde",
    "verdict",
)
PRINTED = ("mean_asr", "scary_safe", "refusable_benign", "mean_helpfulness")


def _row(comparison: Comparison, confidence: float) -> dict:
    difference = comparison.difference
    row = {
        "backbone": comparison.backbone,
        "method": comparison.method,
        "reference": comparison.reference,
        "metric": comparison.metric,
        "p_holm": comparison.holm,
        "verdict": describe_change(*(difference[1:3] if difference else (None, None))),
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
        }
    return row


def _cell(comparison: Comparison | None) -> str:
    if comparison is None or comparison.difference is None:
        return f"{MISSING}$^\\dagger$"
    difference = comparison.difference
    mark = "$^*$" if comparison.holm is not None and comparison.holm < 0.05 else ""
    interval = format_interval(difference.low, difference.high).replace(", ", ",")
    lower = f"~{difference.seeds_lower}/{difference.seeds}" if difference.seeds > 1 else ""
    return f"{format_signed(difference.estimate)}{mark} {{\\scriptsize {interval}{lower}}}"


def _make_detectable_row(comparisons: list[Comparison], confidence: float) -> str:
    """The line under a backbone: per column, the median of the smallest differences that its tests would show."""
    cells = []
    for metric in PRINTED:
        found = [
            c.difference.find_detectable(confidence)
            for c in comparisons
            if c.metric == metric and c.difference
        ]
        cells.append(f"{{\\scriptsize {format_rate(median(found)) if found else MISSING}}}")
    return "\\emph{detectable (median)} & " + " & ".join(cells) + " \\\\"


def _body(comparisons: list[Comparison], confidence: float) -> list[str]:
    cells = {(c.backbone, c.method, c.reference, c.metric): c for c in comparisons}
    body: list[str] = []
    for backbone in dict.fromkeys(c.backbone for c in comparisons):
        if body:
            body.append("\\addlinespace")
        body.append(title_row(name_backbone(backbone), len(PRINTED) + 1))
        for method, reference in dict.fromkeys((c.method, c.reference) for c in comparisons):
            label = f"{name_method(method)} vs {name_method(reference)}"
            row = [_cell(cells.get((backbone, method, reference, metric))) for metric in PRINTED]
            body.append(f"{escape_latex(label)} & " + " & ".join(row) + " \\\\")
        own = [comparison for comparison in comparisons if comparison.backbone == backbone]
        body.append(_make_detectable_row(own, confidence))
    return body


def _notes(comparisons: list[Comparison], confidence: float) -> list[str]:
    sizes = {
        metric: next((c.difference.n for c in comparisons if c.metric == metric and c.difference), None)
        for metric in PRINTED
    }
    seeds = max((c.difference.seeds for c in comparisons if c.difference), default=0)
    counts = ", ".join(f"{name_suite(metric)} {sizes[metric] or MISSING}" for metric in PRINTED)
    return [
        f"Differences on the same prompts with {100 * confidence:g}\\% intervals.",
        f"Prompts per seed: {counts}; seeds: {seeds or MISSING}.",
        f"$^*$ Holm-adjusted $p < {format_rate(0.05)}$ within its column and backbone.",
        f"Detectable: the smallest difference that the paired test would show with power {POWER:g}.",
        *(["Fractions: training runs in which the difference is below zero."] if seeds > 1 else []),
        *(
            [f"$^\\dagger$ {MISSING}: one of the two was not evaluated."]
            if None in [c.difference for c in comparisons if c.metric in PRINTED]
            else []
        ),
    ]


def build_table(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    confidence: float = 0.95,
) -> Table:
    """The comparisons; the CSV holds every suite, the printed table the four summary columns."""
    comparisons = compare_methods(results_root, backbones, methods, seeds, confidence)
    header = [" & ".join(["", *(escape_latex(name_suite(metric)) for metric in PRINTED)])]
    return Table(
        "comparisons",
        COLUMNS,
        [_row(comparison, confidence) for comparison in comparisons],
        "@{}l" + "l" * len(PRINTED) + "@{}",
        header,
        _body(comparisons, confidence),
        _notes(comparisons, confidence),
        long=True,
    )
