"""Helpfulness on public benchmarks: a row per model and method, a column per benchmark."""

from collections.abc import Sequence
from functools import partial

from harc.results.latex import MISSING, format_rate
from harc.results.printer import (
    BY_BACKBONE,
    Column,
    Record,
    Table,
    format_tight,
    make_frame,
    read_number,
    show_name,
    stack_cell,
)
from harc.results.readings import read_scores
from harc.results.view import Results
from harc.results.vocabulary import name_method, sort_methods
from harc.stats.intervals import pool_seeds

COLUMNS = (
    "backbone", "method", "seed", "suite", "metric", "n", "rate", "stderr", "ci_low", "ci_high", "unjudged",
)  # fmt: skip
BENCHMARKS = {
    "mmlu": "MMLU", "gsm8k": "GSM8K", "humaneval": "HumanEval", "ifeval": "IFEval", "mt_bench": "MT-Bench",
}  # fmt: skip


def collect_rows(view: Results) -> list[dict]:
    """Every metric of every model, as measured."""
    rows = []
    for backbone in view.backbones:
        for method in sort_methods(list(view.methods)):
            for seed in view.seeds:
                for found in read_scores(view.root, backbone, method, seed):
                    own = {name: read_number(found, name) for name in ("rate", "stderr", "ci_low", "ci_high")}
                    kept = {name: found.get(name) or None for name in ("suite", "metric", "n", "unjudged")}
                    rows.append({"backbone": backbone, "method": method, "seed": seed, **kept, **own})
    return rows


def _show_benchmark(confidence: float, rows: Sequence[Record]) -> str:
    """Rate, interval, n of the first metric of each seed; over several their mean and the seed as a random effect."""
    first: dict[int, Record] = {}
    for row in rows:
        first.setdefault(row["seed"], row)
    main = [row for row in first.values() if row["rate"] is not None]
    if not main:
        return MISSING
    n = "n = " + " + ".join(str(row["n"]) for row in main)
    unread = sum(int(row["unjudged"] or 0) for row in main)
    n += f", {unread} unjudged" if unread else ""
    rate, low, high = main[0]["rate"], main[0]["ci_low"], main[0]["ci_high"]
    if len(main) > 1:
        variances = [(row["stderr"] or 0.0) ** 2 for row in main]
        rate, low, high = pool_seeds([row["rate"] for row in main], variances).interval(confidence)
    return stack_cell([format_rate(rate, 3), format_tight(low, high, 3), n])


def build_helpfulness(view: Results) -> Table:
    """Every benchmark that was run, with intervals of the main metric; all metrics are in the CSV file."""
    rows = collect_rows(view)
    columns = [Column("method", show_name("method", name_method))]
    columns += [
        Column(label, partial(_show_benchmark, view.confidence), "c", where={"suite": name}, whole=True)
        for name, label in BENCHMARKS.items()
        if any(row["suite"] == name for row in rows)
    ]
    note = (
        "Higher is better. MMLU: accuracy; GSM8K: last number of the response; HumanEval: pass@1; IFEval: prompts "
        "whose instructions were all followed; MT-Bench: mean grade of both turns over 10."
    )
    return Table(
        "helpfulness",
        make_frame(COLUMNS, rows),
        columns,
        lines=("method",),
        **BY_BACKBONE,
        notes=[note] if rows else [],
        absent="no public benchmark was asked in this profile",
        align="l" + "c" * (len(columns) - 1),
        gaps=False,
    )
