"""Table 1 (attack success, over-refusal and helpfulness, in the published layout) and the control suites."""

from collections.abc import Callable, Sequence

from harc.results.latex import MISSING, escape_latex, format_rate
from harc.results.outcomes import SHARES, count_unjudged, share_safe_answered
from harc.results.printer import (
    BY_BACKBONE,
    DAGGER_NOTE,
    NOT_EVALUATED,
    Column,
    Record,
    Table,
    make_frame,
    set_small,
    show_beside,
    show_bounds,
    show_name,
    stack_cell,
)
from harc.results.rates import POWER, Rate
from harc.results.view import Results
from harc.results.vocabulary import (
    CONTROLS,
    DIRECT,
    HELPFULNESS,
    OVER_REFUSAL,
    name_backbone,
    name_method,
    name_suite,
    note_attacks,
)
from harc.suites.records import STATES, WARN_ABOVE, exceeds
from harc.suites.registry import RATES, is_published_mean

CONTROL_HEADS = dict(
    zip(
        (*DIRECT, *CONTROLS),
        ("direct refused", "unseen wording refused", "benign right", "wrapped benign right"),
        strict=True,
    )
)
SHORT = {rate.name: rate.column or rate.label for rate in RATES}
FIELDS = ("", "_low", "_high", "_n", "_seed_low", "_seed_high", "_mde", *(f"_{name}" for name in SHARES))
DETECTABLE_NOTE = (
    "Detectable: the smallest difference from the first line that a two-sided unpaired test would show with power "
    f"{POWER:g}; pairing makes it smaller."
)
GARBLED_AFTER = "mean_asr"
MEAN_OVER = "mean_asr_over"  # column of the attacks of a mean that is not the paper's
GARBLED_NOTE = (
    "Garb.: garbled, the share of the answers to attacks that are broken, empty, or neither a refusal nor what was "
    f"asked for; in bold above {100 * WARN_ABOVE:g}\\%. So much of a low attack success may be no refusal."
)
SAFE_ANSWERED = "safe_answered"  # column behind the suites of over-refusal
SAFE_NOTE = "Right: safe prompts of both suites that were answered rightly, neither refused nor broken."
NAMED = 6  # cells that a warning names; the CSV holds them all


def group_metrics(view: Results) -> dict[str, tuple[str, ...]]:
    """Columns of Table 1 by their common head."""
    return {
        "Attack success rate $\\downarrow$": (*view.attacks, "mean_asr"),
        "Over-refusal $\\downarrow$": OVER_REFUSAL,
        "Helpfulness $\\uparrow$": (*HELPFULNESS, "mean_helpfulness"),
    }


def list_fields(rate: Rate) -> list[float]:
    """The values of a rate in the order of `FIELDS`."""
    values = [rate.estimate, rate.low, rate.high, rate.n, rate.seed_low, rate.seed_high, rate.detectable]
    return [*values, *rate.shares]


def _measure(view: Results, metrics: Sequence[str]) -> list[dict]:
    """A row per backbone and method: the seeds that it was evaluated with, and every metric's fields."""
    rows = []
    for backbone in view.backbones:
        for method in view.every_method:
            by_seed = view.outcomes(backbone, method)
            row: dict = {"backbone": backbone, "method": method, "seeds": len(by_seed)}
            for metric in metrics:
                if rate := view.estimate_rate(backbone, method, metric):
                    row |= {f"{metric}{end}": v for end, v in zip(FIELDS, list_fields(rate), strict=True)}
                    row[f"_{metric}_seeds"] = rate.seeds
            rows.append(row)
    return rows


def warn_of_states(
    rows: Sequence[Record], metrics: Sequence[str], states: Sequence[str] = SHARES[1:], method: str = "method"
) -> list[str]:
    """One sentence for each state that a rate of the table has too much of; the largest shares are named.

    Args:
        rows: of the table, with `<metric>_<state>` shares.
        metrics, states: what is looked at.
        method: the column that names who answered.
    """
    notes = []
    for state in states:
        found = [
            (share, f"{name_suite(metric)} of {name_method(row[method])} on {name_backbone(row['backbone'])}")
            for row in rows
            for metric in metrics
            if (share := row.get(f"{metric}_{state}")) is not None and exceeds(state, share, 1)
        ]
        if not found:
            continue
        found.sort(key=lambda item: -item[0])
        named = ", ".join(f"{format_rate(share)} {escape_latex(name)}" for share, name in found[:NAMED])
        more = f" and {len(found) - NAMED} more (CSV)" if len(found) > NAMED else ""
        notes.append(f"More than {100 * WARN_ABOVE:g}\\% of the answers are {STATES[state]}: {named}{more}.")
    return notes


def _show_stacked(metric: str) -> Callable[[Record], str]:
    """Rate, interval and, over several seeds, the lowest and the highest."""

    def show(row: Record) -> str:
        if row.get(metric) is None:
            return NOT_EVALUATED
        lines = [format_rate(row[metric]), show_bounds(row, metric)]
        if row[f"_{metric}_seeds"] > 1:
            lines.append("--".join(format_rate(row[f"{metric}_seed_{end}"]) for end in ("low", "high")))
        return stack_cell(lines)

    return show


def _show_garbled(row: Record) -> str:
    """The share of garbled answers to attacks, in bold where it is too large to read the rate without it."""
    share = row.get(f"{GARBLED_AFTER}_garbled")
    if share is None:
        return NOT_EVALUATED
    return f"\\textbf{{{format_rate(share)}}}" if exceeds("garbled", share, 1) else format_rate(share)


def _measure_safe(view: Results, row: Record) -> float | None:
    """Safe prompts answered rightly, mean over seeds."""
    found = [share_safe_answered(own) for own in view.outcomes(row["backbone"], row["method"]).values()]
    told = [share for share in found if share is not None]
    return sum(told) / len(told) if told else None


def _show_safe(row: Record) -> str:
    return NOT_EVALUATED if row[SAFE_ANSWERED] is None else format_rate(row[SAFE_ANSWERED])


BESIDE = {GARBLED_AFTER: ("garb.", _show_garbled), OVER_REFUSAL[-1]: ("right~$\\uparrow$", _show_safe)}
"""Columns without an interval, by the metric that they follow: head, cell."""


def _make_foot(metrics: Sequence[str]) -> Callable[[list[Record]], str]:
    """The line under a backbone: the smallest difference from the first method that would be seen, per column."""

    def foot(section: list[Record]) -> str:
        cells = ["{\\scriptsize\\emph{detectable}}"]
        for metric in metrics:
            cells.append(set_small(format_rate(section[0].get(f"{metric}_mde"))))
            cells += [set_small("--")] if metric in BESIDE else []
        return " & ".join(cells)

    return foot


def _find_size(rows: Sequence[Record], metric: str) -> int | str:
    return next((row[f"{metric}_n"] for row in rows if row.get(f"{metric}_n")), MISSING)


def _is_missing(rows: Sequence[Record], metrics: Sequence[str]) -> bool:
    return any(row.get(metric) is None for row in rows for metric in metrics)


def _make_table(
    name: str,
    metrics: Sequence[str],
    rows: list[dict],
    columns: list[Column],
    extra: Sequence[str] = (),
    **rest,
) -> Table:
    names = ("backbone", "method", "seeds", *(f"{m}{end}" for m in metrics for end in FIELDS), *extra)
    return Table(
        name,
        make_frame(names, rows),
        columns,
        **BY_BACKBONE,
        foot=_make_foot(metrics),
        **rest,
    )


def build_table1(view: Results) -> Table:
    """Table 1; a suite that was not run shows as n/a with a note, several seeds show their extremes."""
    groups = group_metrics(view)
    every = tuple(metric for metrics in groups.values() for metric in metrics)
    over = {} if is_published_mean(view.mean_attacks) else {MEAN_OVER: " ".join(view.mean_attacks)}
    rows = [row | over | {SAFE_ANSWERED: _measure_safe(view, row)} for row in _measure(view, every)]
    columns = [
        Column(("", "\\scriptsize prompts"), lambda row: set_small(escape_latex(name_method(row["method"]))))
    ]
    for group, metrics in groups.items():
        for metric in metrics:
            head = f"\\scriptsize {SHORT[metric]}", f"\\scriptsize {_find_size(rows, metric)}"
            columns.append(Column(head, _show_stacked(metric), group=group))
            if metric in BESIDE:
                head_beside, show = BESIDE[metric]
                columns.append(Column((f"\\scriptsize {head_beside}", ""), show, group=group))
    seeds = max((row["seeds"] for row in rows), default=0)
    notes = [
        f"Small type: {100 * view.confidence:g}\\% interval (one suite: Wilson; means: clustered by goal)."
    ]
    notes.append(
        f"Rates are means over {seeds} training seeds with the seed as a random effect; "
        "the third line of a cell gives the lowest and the highest seed."
        if seeds > 1
        else "One training seed: the intervals speak of prompts, not of other seeds."
    )
    notes += note_attacks(view.mean_attacks)
    notes += [DAGGER_NOTE] if _is_missing(rows, every) else []
    answers = [o for row in rows for o in view.outcomes(row["backbone"], row["method"]).values()]
    asked = [metric for metric in every if not metric.startswith("mean_")]
    if unjudged := sum(count_unjudged(outcomes, asked) for outcomes in answers):
        notes.append(f"{unjudged} answers whose verdict could not be read are in no rate.")
    notes += [GARBLED_NOTE, SAFE_NOTE, *warn_of_states(rows, every), DETECTABLE_NOTE]
    align = "@{}l@{\\hspace{4pt}}" + "c@{\\hspace{2.5pt}}" * (len(every) + 1) + "c@{}"
    return _make_table(
        "table1", every, rows, columns, [SAFE_ANSWERED, *over], align=align, notes=notes, long=True
    )


def build_controls(view: Results) -> Table:
    """The control suites; without them a method that garbles everything would look safe."""
    rows = _measure(view, list(CONTROL_HEADS))
    counted = ", ".join(f"{head} {_find_size(rows, metric)}" for metric, head in CONTROL_HEADS.items())
    notes = [
        f"{100 * view.confidence:g}\\% intervals; prompts per seed: {counted}; "
        f"seeds: {max((row['seeds'] for row in rows), default=0)}.",
        DETECTABLE_NOTE,
        *warn_of_states(rows, list(CONTROL_HEADS), SHARES),
        *([DAGGER_NOTE] if _is_missing(rows, list(CONTROL_HEADS)) else []),
    ]
    columns = [Column("", show_name("method", name_method))]
    columns += [Column(head, show_beside(metric, NOT_EVALUATED)) for metric, head in CONTROL_HEADS.items()]
    return _make_table("controls", list(CONTROL_HEADS), rows, columns, notes=notes)
