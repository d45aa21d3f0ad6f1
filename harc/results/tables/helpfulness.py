"""Helpfulness on public benchmarks: a row per model and method, a column per benchmark."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.results.helpfulness import read_scores
from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate)
from harc.results.tables.layout import (Table, read_number, stack_cell, title_row)
from harc.results.vocabulary import name_backbone, name_method, sort_methods
from harc.stats.statistics import random_effects_interval

COLUMNS = (
    "backbone", "method", "seed", "suite", "metric", "n", "rate", "stderr", "ci_low", "ci_high", "unjudged",
)  # fmt: skip
BENCHMARKS = {
    "mmlu": "MMLU", "gsm8k": "GSM8K", "humaneval": "HumanEval", "ifeval": "IFEval", "mt_bench": "MT-Bench",
}  # fmt: skip
NUMBERS = ("rate", "stderr", "ci_low", "ci_high")


def collect_rows(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[dict[str, Any]]:
    """Every metric of every model, as measured."""
    rows = []
    for backbone in backbones:
        for method in sort_methods(list(methods)):
            for seed in seeds:
                for found in read_scores(results_root, backbone, method, seed):
                    own = {name: read_number(found, name) for name in NUMBERS}
                    kept = {name: found.get(name) or None for name in ("suite", "metric", "n", "unjudged")}
                    rows.append({"backbone": backbone, "method": method, "seed": seed, **kept, **own})
    return rows


def _find_main(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first metric of each seed: the one that is reported."""
    by_seed: dict[int, Mapping[str, Any]] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], row)
    return [row for row in by_seed.values() if row["rate"] is not None]


def _cell(rows: Sequence[Mapping[str, Any]], confidence: float) -> str:
    """Rate, interval, n; over several seeds their mean and the seed as a random effect."""
    main = _find_main(rows)
    if not main:
        return MISSING
    n = "n = " + " + ".join(str(row["n"]) for row in main)
    unread = sum(int(row["unjudged"] or 0) for row in main)
    if unread:
        n += f", {unread} unjudged"
    rate, low, high = main[0]["rate"], main[0]["ci_low"], main[0]["ci_high"]
    if len(main) > 1:
        variances = [(row["stderr"] or 0.0) ** 2 for row in main]
        rate, low, high = random_effects_interval([row["rate"] for row in main], variances, confidence)
    return stack_cell([format_rate(rate, 3), format_interval(low, high, 3).replace(", ", ","), n])


def build_table(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    confidence: float = 0.95,
) -> Table:
    """Every benchmark that was run, with 95% intervals of the main metric; all metrics are in the CSV file."""
    rows = collect_rows(results_root, backbones, methods, seeds)
    shown = [name for name in BENCHMARKS if any(row["suite"] == name for row in rows)]
    body = []
    for backbone in backbones:
        own = [row for row in rows if row["backbone"] == backbone]
        if not own:
            continue
        body.append(title_row(name_backbone(backbone), len(shown) + 1))
        for method in dict.fromkeys(row["method"] for row in own):
            cells = [
                _cell([r for r in own if r["method"] == method and r["suite"] == suite], confidence)
                for suite in shown
            ]
            body.append(" & ".join([escape_latex(name_method(method)), *cells]) + " \\\\")
    if not rows:
        body = ["no public benchmark was asked in this profile \\\\"]
    notes = [
        "Higher is better. MMLU: accuracy; GSM8K: last number of the response; HumanEval: pass@1; IFEval: prompts "
        "whose instructions were all followed; MT-Bench: mean grade of both turns over 10."
    ] if rows else []  # fmt: skip
    header = [" & ".join(["method", *(BENCHMARKS[name] for name in shown)])]
    return Table("helpfulness", COLUMNS, rows, "l" + "c" * len(shown), header, body, notes)
