"""Arms of the ablation, the grid of margin and KL, and the faults of the published code, each a named switch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from harc.methods.harc_released import list_switches
from harc.results.comparisons import ARM_METRICS, Arm, adjust_differences, measure_arms
from harc.results.geometry import SIDES
from harc.results.latex import MISSING, escape_latex, format_p, format_rate, format_signed
from harc.results.outcomes import SHARES
from harc.results.printer import (
    BY_BACKBONE,
    DAGGER_NOTE,
    ENDS,
    NOT_EVALUATED,
    Column,
    Record,
    Table,
    make_frame,
    plain_words,
    show_bounds,
    show_name,
    show_rate,
    span_row,
    stack_cell,
)
from harc.results.tables.claims import evidence_bounds
from harc.results.tables.rates import warn_of_states
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method, note_attacks
from harc.settings.ablation import AblationScope

DIFFERENCES = (*ENDS, "_p", "_p_holm")
VALUES = (
    *(f"{metric}{end}" for metric in ARM_METRICS for end in (*ENDS, "_n", *(f"_{name}" for name in SHARES))),
    *(f"{metric}_difference{end}" for metric in ARM_METRICS for end in DIFFERENCES),
    *(f"gain_{side}{end}" for side in SIDES for end in ENDS),
)
FAULT_METRICS = {"mean_asr": "mean ASR", "scary_safe": "scary but safe"}
FAULTS = (
    "switch", "released", "corrected", "backbone",
    *(f"{metric}{end}" for metric in FAULT_METRICS for end in DIFFERENCES),
    "n", "seeds", "without_effect",
)  # fmt: skip
TOGETHER = "all together"


def _make_row(arm: Arm, reference: str, confidence: float) -> dict:
    row: dict = {"backbone": arm.backbone, "arm": arm.name, "reference": reference, "seeds": arm.seeds}
    for metric in ARM_METRICS:
        if (rate := arm.rates[metric]) is not None:
            row |= dict(zip((f"{metric}{end}" for end in (*ENDS, "_n")), rate[:4], strict=True))
            row |= {f"{metric}_{name}": share for name, share in zip(SHARES, rate.shares, strict=True)}
        if (difference := arm.differences[metric]) is not None:
            values = (*difference[:4], arm.holm[metric])
            row |= dict(zip((f"{metric}_difference{end}" for end in DIFFERENCES), values, strict=True))
    for side, gain in arm.gains.items():
        if gain is not None:
            bounded = (gain.estimate, *evidence_bounds(gain, confidence))
            row |= dict(zip((f"gain_{side}{end}" for end in ENDS), bounded, strict=True))
    return row


def _show_difference(metric: str) -> Callable[[Record], str]:
    """The difference above its interval, marked by Holm's p; the method itself has none."""
    name = f"{metric}_difference"

    def show(row: Record) -> str:
        if row[name] is None:
            return NOT_EVALUATED if row[metric] is None else ""
        adjusted = row[f"{name}_p_holm"]
        mark = "$^*$" if adjusted is not None and adjusted < 0.05 else ""
        return stack_cell([f"{format_signed(row[name])}{mark}", show_bounds(row, name)])

    return show


def _show_gain(side: str) -> Callable[[Record], str]:
    name = f"gain_{side}"

    def show(row: Record) -> str:
        if row[name] is None:
            return ""
        shown = format_signed(row[name])
        return shown if row[f"{name}_low"] is None else stack_cell([shown, show_bounds(row, name)])

    return show


def _write_notes(rows: Sequence[Record], scope: AblationScope, confidence: float) -> list[str]:
    if not rows:
        return ["This profile runs no arms."]
    attacked, safe, tasks = (
        next((row[f"{m}_n"] for row in rows if row.get(m) is not None), MISSING) for m in ARM_METRICS
    )
    notes = [
        f"Seed{'s' if len(scope.seeds) > 1 else ''} {', '.join(map(str, scope.seeds))}; prompts: {attacked} attacked, "
        f"{safe} safe, {tasks} tasks.",
        f"Small type: {100 * confidence:g}\\% intervals; differences are paired, from "
        f"{escape_latex(name_method(scope.of))}, on the same prompts; $^*$ Holm-adjusted over the arms, "
        f"$p < {format_rate(0.05)}$.",
        "Gain: change of the cosine in the slots selected on the base.",
        *warn_of_states(rows, ARM_METRICS, SHARES, method="arm"),
    ]
    missing = any(row.get(metric) is None for row in rows for metric in ARM_METRICS)
    return [*notes, DAGGER_NOTE] if missing else notes


def _make_table(
    name: str,
    view: Results,
    labels: Sequence[Column],
    rows: list[dict],
    extra: Sequence[str] = (),
    note: str = "",
) -> Table:
    """A table of arms: label columns, then rates, differences from the method and coupling gains."""
    scope, mean = view.scope_ablation(), note_attacks(view.mean_attacks) if rows else []
    attack, refusal, helpful = ARM_METRICS
    columns = [
        *labels,
        Column("mean ASR", show_rate(attack, NOT_EVALUATED)),
        Column("difference", _show_difference(attack)),
        Column("over-refusal", show_rate(refusal, NOT_EVALUATED)),
        Column("difference", _show_difference(refusal)),
        Column("helpfulness", show_rate(helpful, NOT_EVALUATED)),
        *(Column(side, _show_gain(side), group="coupling gain") for side in SIDES),
    ]
    centred = "c@{\\hspace{5pt}}" * (len(columns) - len(labels) - 1) + "c"
    return Table(
        name,
        make_frame(("backbone", "arm", *extra, "reference", "seeds", *VALUES), rows),
        columns,
        **BY_BACKBONE,
        align=f"@{{}}{'l' * len(labels)}@{{\\hspace{{6pt}}}}{centred}@{{}}",
        notes=[
            *_write_notes(rows, scope, view.confidence),
            *([note, *mean] if note and rows else mean),
        ],
        absent=span_row("no arm in this profile", len(columns)),
        long=True,
    )


def build_ablations(view: Results) -> Table:
    """The named arms beside the base, the method itself and its control without coupling."""
    scope = view.scope_ablation()
    own = view.narrow(scope.backbones, scope.seeds)
    rows = [
        _make_row(arm, scope.of, view.confidence)
        for backbone in (scope.backbones if scope.arms else ())
        for arm in measure_arms(own, backbone, scope.list_shown(), scope.of)
    ]
    return _make_table("ablations", view, [Column("", show_name("arm", name_method))], rows)


def build_margin_kl(view: Results) -> Table:
    """Margin and weight of KL, the method's own cell among them."""
    scope = view.scope_ablation()
    own = view.narrow(scope.backbones, scope.seeds)
    names = [point.name for point in scope.points]
    rows = [
        _make_row(arm, scope.of, view.confidence) | {"margin": point.margin, "kl": point.kl}
        for backbone in scope.backbones
        for point, arm in zip(scope.points, measure_arms(own, backbone, names, scope.of), strict=True)
    ]
    labels = [
        Column(
            "margin",
            lambda row: format_rate(row["margin"]) + ("$^\\ddagger$" if row["arm"] == scope.of else ""),
        ),
        Column("KL", lambda row: f"{row['kl']:g}"),
    ]
    note = f"$^\\ddagger$ {escape_latex(name_method(scope.of))} itself."
    return _make_table("margin_kl", view, labels, rows, ("margin", "kl"), note)


def _list_cases(switches: Sequence[Mapping[str, Any]], reasons: Mapping[str, str]) -> list[dict]:
    """Every fault with the arm that switches it on, and why it cannot act in this profile; last, all together."""
    cases = [
        {**switch, "method": f"released_{switch['name']}", "without_effect": reasons.get(switch["name"])}
        for switch in switches
    ]
    together = {"name": TOGETHER, "released": "all", "corrected": "none", "method": "harc_released"}
    return [*cases, {**together, "without_effect": None}]


def _measure_faults(view: Results, backbone: str, cases: Sequence[Mapping[str, Any]]) -> list[dict]:
    """A row per fault: its effect on the corrected method, with p adjusted over the faults of one metric."""
    rows = [
        {name: case[name] for name in ("released", "corrected", "without_effect")}
        | {"switch": case["name"], "backbone": backbone}
        for case in cases
    ]
    for metric in FAULT_METRICS:
        found = [view.compare(backbone, case["method"], "harc", metric) for case in cases]
        for row, difference, adjusted in zip(rows, found, adjust_differences(found), strict=True):
            if difference is not None:
                values = (*difference[:4], adjusted)
                row |= {f"{metric}{end}": value for end, value in zip(DIFFERENCES, values, strict=True)}
                row |= {"n": difference.n, "seeds": difference.seeds}
    return rows


def _show_effect(metric: str, row: Record) -> str:
    if row[metric] is None:
        return f"{MISSING}$^\\{'ddagger' if row['without_effect'] else 'dagger'}$"
    adjusted = format_p(row[f"{metric}_p_holm"])
    return stack_cell([format_signed(row[metric]), show_bounds(row, metric), adjusted])


def _write_fault_notes(cases: Sequence[Record], rows: Sequence[Record], confidence: float) -> list[str]:
    single, together = (
        max((row.get("seeds", 0) for row in rows if (row["switch"] == TOGETHER) is whole), default=0)
        for whole in (False, True)
    )
    notes = [
        f"Effects: paired differences from corrected HARC with {100 * confidence:g}\\% intervals and two-sided "
        f"$p$, Holm-adjusted over the rows of a column. Seeds: {single or MISSING} for single faults, "
        f"{together or MISSING} for all together.",
        f"$^\\dagger$ {MISSING}: the arm was not run on this backbone in this profile.",
    ]
    reasons = [f"{plain_words(c['name'])}: {c['without_effect']}" for c in cases if c["without_effect"]]
    if reasons:
        shown = escape_latex("; ".join(reasons))
        notes.append(f"$^\\ddagger$ {MISSING}: cannot act in this profile ({shown}).")
    return notes


def build_faults(view: Results) -> Table:
    """One line per switch; the effect (switched on, minus corrected HARC) where the profile ran that arm."""
    reasons = view.study.ablation.without_effect if view.study else {}
    cases = _list_cases([asdict(switch) for switch in list_switches()], reasons)
    measured = [_measure_faults(view, backbone, cases) for backbone in view.backbones]
    rows = [row for of_case in zip(*measured, strict=True) for row in of_case]
    columns = [Column(name, show_name(name, plain_words)) for name in ("switch", "released", "corrected")]
    columns += [
        Column(
            head,
            partial(_show_effect, metric),
            "c",
            group=escape_latex(name_backbone(backbone)),
            where={"backbone": backbone},
        )
        for backbone in view.backbones
        for metric, head in FAULT_METRICS.items()
    ]
    notes = [*_write_fault_notes(cases, rows, view.confidence), *note_attacks(view.mean_attacks)]
    return Table("faults", make_frame(FAULTS, rows), columns, lines=("switch",), notes=notes)
