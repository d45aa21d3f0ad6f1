"""Table 1: attack success, over-refusal and helpfulness per method and backbone, in the published layout."""

from collections.abc import Sequence
from pathlib import Path

from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate)
from harc.results.outcomes import SHARES, count_unjudged, read_by_seed
from harc.results.rates import POWER, Rate, estimate_rate
from harc.results.tables.layout import Table, stack_cell, title_row
from harc.results.tables.warnings import warn_of_states
from harc.results.vocabulary import (ATTACKS, HELPFULNESS, OVER_REFUSAL, name_backbone, name_method, sort_methods)
from harc.suites import MEANS, SUITES
from harc.suites.records import WARN_ABOVE, exceeds

METRICS = (*ATTACKS, "mean_asr", *OVER_REFUSAL, *HELPFULNESS, "mean_helpfulness")
SHORT = {rate.name: rate.column or rate.label for rate in (*SUITES.values(), *MEANS)}
FIELDS = ("", "_low", "_high", "_n", "_seed_low", "_seed_high", "_mde", *(f"_{name}" for name in SHARES))
DETECTABLE_NOTE = (
    "Detectable: the smallest difference from the first line that a two-sided unpaired test would show with power "
    f"{POWER:g}; pairing makes it smaller."
)
GARBLED_AFTER = "mean_asr"
GARBLED_NOTE = (
    "Garb.: garbled, the share of the answers to attacks that are broken, empty, or neither a refusal nor what was "
    f"asked for; in bold above {100 * WARN_ABOVE:g}\\%. So much of a low attack success may be no refusal."
)
Rates = dict[tuple[str, str, str], Rate | None]


def measure_rates(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    metrics: Sequence[str],
    confidence: float,
) -> tuple[Rates, dict[tuple[str, str], int]]:
    """Rates by (backbone, method, metric), and the number of seeds that each model was evaluated with."""
    rates: Rates = {}
    counts: dict[tuple[str, str], int] = {}
    for backbone in backbones:
        for method in methods:
            by_seed = read_by_seed(results_root, backbone, method, seeds)
            counts[backbone, method] = len(by_seed)
            for metric in metrics:
                rates[backbone, method, metric] = estimate_rate(by_seed, metric, confidence)
    return rates, counts


def count_all_unjudged(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> int:
    """Answers to the table's suites that no verdict could be read for."""
    suites = (*ATTACKS, *OVER_REFUSAL, *HELPFULNESS)
    return sum(
        count_unjudged(outcomes, suites)
        for backbone in backbones
        for method in methods
        for outcomes in read_by_seed(results_root, backbone, method, seeds).values()
    )


def list_fields(rate: Rate) -> list[float]:
    """The values of a rate in the order of `FIELDS`."""
    values = [rate.estimate, rate.low, rate.high, rate.n, rate.seed_low, rate.seed_high, rate.detectable]
    return [*values, *rate.shares]


def make_detectable_row(rates: Rates, backbone: str, methods: Sequence[str], metrics: Sequence[str]) -> str:
    """The line under a backbone: the smallest difference from the first method that would be seen, per column."""
    cells = [rates[backbone, methods[0], metric] for metric in metrics]
    shown = [MISSING if rate is None else format_rate(rate.detectable) for rate in cells]
    return _join_line(
        "{\\scriptsize\\emph{detectable}}",
        metrics,
        [f"{{\\scriptsize {c}}}" for c in shown],
        "{\\scriptsize --}",
    )


def _join_line(name: str, metrics: Sequence[str], cells: Sequence[str], garbled: str) -> str:
    """A body line; in the main table the share of garbled answers stands behind the mean of the attacks."""
    shown = list(cells)
    if GARBLED_AFTER in metrics:
        shown.insert(list(metrics).index(GARBLED_AFTER) + 1, garbled)
    return " & ".join([name, *shown]) + " \\\\"


def _garbled_cell(rate: Rate | None) -> str:
    """The share of garbled answers to attacks, in bold where it is too large to read the rate without it."""
    if rate is None:
        return f"{MISSING}$^\\dagger$"
    shown = format_rate(share := rate.shares[SHARES.index("garbled")])
    return f"\\textbf{{{shown}}}" if exceeds("garbled", share, 1) else shown


def _row(backbone: str, method: str, rates: Rates, seeds: int, metrics: Sequence[str]) -> dict:
    row: dict[str, object] = {"backbone": backbone, "method": method, "seeds": seeds}
    for metric in metrics:
        rate = rates[backbone, method, metric]
        values = list_fields(rate) if rate else [None] * len(FIELDS)
        row.update({f"{metric}{field}": value for field, value in zip(FIELDS, values, strict=True)})
    return row


def _cell(rate: Rate | None) -> str:
    if rate is None:
        return f"{MISSING}$^\\dagger$"
    lines = [format_rate(rate.estimate), format_interval(rate.low, rate.high).replace(", ", ",")]
    if rate.seeds > 1:
        lines.append(f"{format_rate(rate.seed_low)}--{format_rate(rate.seed_high)}")
    return stack_cell(lines)


def _header(rates: Rates, metrics: Sequence[str]) -> list[str]:
    groups = (
        ("Attack success rate $\\downarrow$", len(ATTACKS) + 2),
        ("Over-refusal $\\downarrow$", len(OVER_REFUSAL)),
        ("Helpfulness $\\uparrow$", len(HELPFULNESS) + 1),
    )
    first, rules, start = [""], "", 2
    for title, width in groups:
        first.append(f"\\multicolumn{{{width}}}{{c}}{{{title}}}")
        rules += f"\\cmidrule(lr){{{start}-{start + width - 1}}}"
        start += width
    counts = {
        metric: next((r.n for (_, _, name), r in rates.items() if name == metric and r), None)
        for metric in metrics
    }
    sizes = [f"\\scriptsize {counts[metric] if counts[metric] else MISSING}" for metric in metrics]
    return [
        " & ".join(first),
        rules,
        _end_head(
            _join_line("", metrics, [f"\\scriptsize {SHORT[m]}" for m in metrics], "\\scriptsize garb.")
        ),
        _end_head(_join_line("\\scriptsize prompts", metrics, sizes, "")),
    ]


def _end_head(line: str) -> str:
    return line.removesuffix(" \\\\")  # the layout ends lines of a header itself


def build_table(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    confidence: float = 0.95,
) -> Table:
    """Table 1; a suite that was not run shows as n/a with a note, several seeds show their extremes."""
    methods = sort_methods(list(methods))
    rates, counts = measure_rates(results_root, backbones, methods, seeds, METRICS, confidence)
    rows, body = [], []
    for backbone in backbones:
        if body:
            body.append("\\addlinespace")
        body.append(title_row(name_backbone(backbone), len(METRICS) + 2))
        for method in methods:
            rows.append(_row(backbone, method, rates, counts[backbone, method], METRICS))
            cells = [_cell(rates[backbone, method, metric]) for metric in METRICS]
            garbled = _garbled_cell(rates[backbone, method, GARBLED_AFTER])
            body.append(
                _join_line(f"{{\\scriptsize {escape_latex(name_method(method))}}}", METRICS, cells, garbled)
            )
        body.append(make_detectable_row(rates, backbone, methods, METRICS))
    missing = any(rate is None for rate in rates.values())
    notes = _notes(max(counts.values(), default=0), missing, confidence)
    if unjudged := count_all_unjudged(results_root, backbones, methods, seeds):
        notes.append(f"{unjudged} answers whose verdict could not be read are in no rate.")
    columns = ("backbone", "method", "seeds", *(f"{m}{field}" for m in METRICS for field in FIELDS))
    return Table(
        "table1",
        columns,
        rows,
        "@{}l@{\\hspace{4pt}}" + "c@{\\hspace{2.5pt}}" * len(METRICS) + "c@{}",
        _header(rates, METRICS),
        body,
        [*notes, GARBLED_NOTE, *warn_of_states(rates, backbones, methods, METRICS), DETECTABLE_NOTE],
        long=True,
    )


def _notes(seeds: int, missing: bool, confidence: float) -> list[str]:
    notes = [f"Small type: {100 * confidence:g}\\% interval (one suite: Wilson; means: clustered by goal)."]
    if seeds > 1:
        notes.append(
            f"Rates are means over {seeds} training seeds with the seed as a random effect; "
            "the third line of a cell gives the lowest and the highest seed."
        )
    else:
        notes.append("One training seed: the intervals speak of prompts, not of other seeds.")
    if missing:
        notes.append(f"$^\\dagger$ {MISSING}: not evaluated in this profile.")
    return notes
