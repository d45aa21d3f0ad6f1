"""Rates after fine-tuning on harmful answers, by number of answers: what figure 8 draws, as numbers."""

from collections.abc import Sequence
from pathlib import Path

from harc.results.finetuning import read_finetuning, trace_rates
from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate)
from harc.results.outcomes import SHARES
from harc.results.tables.layout import Table, stack_cell, title_row
from harc.results.vocabulary import (OVER_REFUSAL, name_backbone, name_method, name_suite)
from harc.suites.records import WARN_ABOVE, exceeds

COLUMNS = ("backbone", "method", "suite", "counted", "examples", "rate", "low", "high", "n", *SHARES)
ABSENT = "\\multicolumn{2}{@{}l@{}}{no model of this profile is fine-tuned on harmful answers} \\\\"


def _measure(
    results_root: Path, backbone: str, methods: Sequence[str], seed: int, confidence: float
) -> list[dict]:
    """Rows of one backbone, suite by suite."""
    answers = {method: read_finetuning(results_root, backbone, method, seed) for method in methods}
    suites = dict.fromkeys(o.suite for own in answers.values() for found in own.values() for o in found)
    return [
        {
            "backbone": backbone,
            "method": method,
            "suite": suite,
            "counted": "over-refusal" if suite in OVER_REFUSAL else "attack success",
            **point._asdict(),
        }
        for suite in suites
        for method in methods
        for point in trace_rates(answers[method], suite, confidence)
    ]


def _cell(row: dict | None) -> str:
    if row is None:
        return MISSING
    return stack_cell([format_rate(row["rate"]), format_interval(row["low"], row["high"]).replace(", ", ",")])


def _list_lines(rows: Sequence[dict], counts: Sequence[int]) -> list[str]:
    lines = []
    for suite, method in dict.fromkeys((row["suite"], row["method"]) for row in rows):
        held = {row["examples"]: row for row in rows if (row["suite"], row["method"]) == (suite, method)}
        names = [escape_latex(name_suite(suite)), escape_latex(name_method(method))]
        lines.append(" & ".join([*names, *(_cell(held.get(count)) for count in counts)]) + " \\\\")
    return lines


def build_table(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    confidence: float,
) -> Table:
    """The table: a line per suite and method, a column per number of answers.

    Args:
        results_root: root of the results tree.
        backbones: names.
        methods, seeds: those that the profile fine-tunes; the first seed is shown.
        confidence: coverage of every interval.
    """
    rows = [
        row
        for backbone in backbones
        for row in (_measure(results_root, backbone, methods, seeds[0], confidence) if seeds else [])
    ]
    counts = sorted({row["examples"] for row in rows})
    body: list[str] = []
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        body += [*(["\\addlinespace"] if body else []), title_row(name_backbone(backbone), len(counts) + 2)]
        body += _list_lines([row for row in rows if row["backbone"] == backbone], counts)
    prompts = ", ".join(map(str, sorted({row["n"] for row in rows}))) or MISSING
    notes = [
        "Columns: number of harmful answers. Direct requests and attacks: share answered; safe requests: share "
        f"refused. Small type: {100 * confidence:g}\\% Wilson interval. Prompts per cell: {prompts}. Every "
        "fine-tuning starts from the method's own model; one seed.",
    ]
    garbled = [row for row in rows if exceeds("garbled", row["garbled"], 1)]
    if garbled:
        most = max(garbled, key=lambda row: row["garbled"])
        notes.append(
            f"In {len(garbled)} of {len(rows)} cells more than {100 * WARN_ABOVE:g}\\% of the answers are garbled, at "
            f"most {format_rate(most['garbled'])} (CSV): a low rate there may be broken answers."
        )
    header = [" & ".join(["suite", "method", *map(str, counts)])]
    align = "@{}ll" + "c" * len(counts) + "@{}"
    return Table("finetuning", COLUMNS, rows, align, header, body or [ABSENT], notes)
