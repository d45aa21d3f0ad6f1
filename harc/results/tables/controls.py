"""Control suites per method: refusal of direct requests, answers to plain and wrapped benign ones."""

from collections.abc import Sequence
from pathlib import Path

from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate)
from harc.results.outcomes import SHARES
from harc.results.rates import Rate
from harc.results.tables.layout import Table, title_row
from harc.results.tables.main import (DETECTABLE_NOTE, FIELDS, list_fields, make_detectable_row, measure_rates)
from harc.results.tables.warnings import warn_of_states
from harc.results.vocabulary import (CONTROLS, DIRECT, name_backbone, name_method, sort_methods)

METRICS = (*DIRECT, *CONTROLS)
HEADS = ("direct refused", "unseen wording refused", "benign right", "wrapped benign right")


def _cell(rate: Rate | None) -> str:
    if rate is None:
        return f"{MISSING}$^\\dagger$"
    interval = format_interval(rate.low, rate.high).replace(", ", ",")
    return f"{format_rate(rate.estimate)} {{\\scriptsize {interval}}}"


def build_table(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    confidence: float = 0.95,
) -> Table:
    """The table; without it a method that garbles everything would look safe."""
    methods = sort_methods(list(methods))
    rates, counts = measure_rates(results_root, backbones, methods, seeds, METRICS, confidence)
    rows, body = [], []
    for backbone in backbones:
        body += ["\\addlinespace"] if body else []
        body.append(title_row(name_backbone(backbone), len(METRICS) + 1))
        for method in methods:
            row: dict[str, object] = {
                "backbone": backbone,
                "method": method,
                "seeds": counts[backbone, method],
            }
            for metric in METRICS:
                rate = rates[backbone, method, metric]
                if rate:
                    row |= {f"{metric}{end}": v for end, v in zip(FIELDS, list_fields(rate), strict=True)}
            rows.append(row)
            cells = " & ".join(_cell(rates[backbone, method, metric]) for metric in METRICS)
            body.append(f"{escape_latex(name_method(method))} & {cells} \\\\")
        body.append(make_detectable_row(rates, backbone, methods, METRICS))
    sizes = {m: next((r.n for (_, _, name), r in rates.items() if name == m and r), None) for m in METRICS}
    counted = ", ".join(
        f"{head} {sizes[metric] or MISSING}" for head, metric in zip(HEADS, METRICS, strict=True)
    )
    notes = [
        f"{100 * confidence:g}\\% intervals; prompts per seed: {counted}; "
        f"seeds: {max(counts.values(), default=0)}.",
        DETECTABLE_NOTE,
        *warn_of_states(rates, backbones, methods, METRICS, SHARES),
    ]
    if None in rates.values():
        notes.append(f"$^\\dagger$ {MISSING}: not evaluated in this profile.")
    columns = ("backbone", "method", "seeds", *(f"{m}{end}" for m in METRICS for end in FIELDS))
    header = [" & ".join(["", *HEADS])]
    return Table("controls", columns, rows, "@{}lllll@{}", header, body, notes)
