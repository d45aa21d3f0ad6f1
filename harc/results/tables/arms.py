"""Arms of the ablation and the grid of margin and KL: rates, differences from the method itself, coupling gains."""

from collections.abc import Sequence
from pathlib import Path

from harc.results.arms import METRICS, Arm, measure_arms
from harc.results.evidence import Evidence, ResultsView
from harc.results.geometry import SIDES
from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate, format_signed)
from harc.results.outcomes import SHARES
from harc.results.rates import Difference, Rate
from harc.results.tables.claims import evidence_bounds
from harc.results.tables.layout import Table, stack_cell, title_row
from harc.results.tables.warnings import warn_of_states
from harc.results.vocabulary import name_backbone, name_method
from harc.settings.ablation import AblationScope

ENDS = ("", "_low", "_high")
DIFFERENCES = (*ENDS, "_p", "_p_holm")
VALUES = (
    *(f"{metric}{end}" for metric in METRICS for end in (*ENDS, "_n", *(f"_{name}" for name in SHARES))),
    *(f"{metric}_difference{end}" for metric in METRICS for end in DIFFERENCES),
    *(f"gain_{side}{end}" for side in SIDES for end in ENDS),
)
ARM_COLUMNS = ("backbone", "arm", "reference", "seeds", *VALUES)
GRID_COLUMNS = ("backbone", "arm", "margin", "kl", "reference", "seeds", *VALUES)
HEADS = ("mean ASR", "difference", "over-refusal", "difference", "helpfulness", "prompt", "response")


def _row(arm: Arm, reference: str, confidence: float) -> dict:
    row: dict = {"backbone": arm.backbone, "arm": arm.name, "reference": reference, "seeds": arm.seeds}
    for metric in METRICS:
        if (rate := arm.rates[metric]) is not None:
            row |= dict(zip((f"{metric}{end}" for end in (*ENDS, "_n")), rate[:4], strict=True))
            row |= {f"{metric}_{name}": share for name, share in zip(SHARES, rate.shares, strict=True)}
        if (difference := arm.differences[metric]) is not None:
            values = (*difference[:4], arm.holm[metric])
            row |= dict(zip((f"{metric}_difference{end}" for end in DIFFERENCES), values, strict=True))
    for side, gain in arm.gains.items():
        if gain is not None:
            values = (gain.estimate, *evidence_bounds(gain, confidence))
            row |= dict(zip((f"gain_{side}{end}" for end in ENDS), values, strict=True))
    return row


def _stack(shown: str, low: float | None, high: float | None) -> str:
    return stack_cell([shown, format_interval(low, high).replace(", ", ",")])


def _rate_cell(rate: Rate | None) -> str:
    return (
        f"{MISSING}$^\\dagger$" if rate is None else _stack(format_rate(rate.estimate), rate.low, rate.high)
    )


def _difference_cell(arm: Arm, metric: str) -> str:
    difference: Difference | None = arm.differences[metric]
    if difference is None:
        return "" if arm.rates[metric] else f"{MISSING}$^\\dagger$"
    adjusted = arm.holm[metric]
    mark = "$^*$" if adjusted is not None and adjusted < 0.05 else ""
    return _stack(f"{format_signed(difference.estimate)}{mark}", difference.low, difference.high)


def _gain_cell(gain: Evidence | None, confidence: float) -> str:
    if gain is None:
        return ""
    low, high = evidence_bounds(gain, confidence)
    return format_signed(gain.estimate) if low is None else _stack(format_signed(gain.estimate), low, high)


def _cells(arm: Arm, confidence: float) -> list[str]:
    return [
        _rate_cell(arm.rates["mean_asr"]),
        _difference_cell(arm, "mean_asr"),
        _rate_cell(arm.rates["mean_over_refusal"]),
        _difference_cell(arm, "mean_over_refusal"),
        _rate_cell(arm.rates["mean_helpfulness"]),
        *(_gain_cell(arm.gains[side], confidence) for side in SIDES),
    ]


def _notes(arms: Sequence[Arm], scope: AblationScope, confidence: float) -> list[str]:
    if not arms:
        return ["This profile runs no arms."]
    sizes = {
        metric: next((arm.rates[metric].n for arm in arms if arm.rates[metric]), MISSING)
        for metric in METRICS
    }
    seeds = ", ".join(map(str, scope.seeds))
    notes = [
        f"Seed{'s' if len(scope.seeds) > 1 else ''} {seeds}; prompts: {sizes['mean_asr']} attacked, "
        f"{sizes['mean_over_refusal']} safe, {sizes['mean_helpfulness']} tasks.",
        f"Small type: {100 * confidence:g}\\% intervals; differences are paired, from "
        f"{escape_latex(name_method(scope.of))}, on the same prompts; $^*$ Holm-adjusted over the arms, "
        f"$p < {format_rate(0.05)}$.",
        "Gain: change of the cosine in the slots selected on the base; the bootstrap covers the prompt side alone.",
    ]
    by_name = {(arm.backbone, arm.name, metric): arm.rates[metric] for arm in arms for metric in METRICS}
    names = [
        list(dict.fromkeys(part)) for part in zip(*((arm.backbone, arm.name) for arm in arms), strict=True)
    ]
    notes += warn_of_states(by_name, *names, METRICS, SHARES)
    if any(rate is None for arm in arms for rate in arm.rates.values()):
        notes.append(f"$^\\dagger$ {MISSING}: not evaluated in this profile.")
    return notes


def _build(
    name: str,
    columns: tuple[str, ...],
    label: Sequence[str],
    lines: Sequence[tuple[Sequence[str], Arm, dict]],
    scope: AblationScope,
    confidence: float,
) -> Table:
    """A table of arms; each line is its label cells, the arm and what the CSV says besides."""
    body: list[str] = []
    width = len(label) + len(HEADS)
    for backbone in dict.fromkeys(arm.backbone for _, arm, _ in lines):
        body += ["\\addlinespace"] if body else []
        body.append(title_row(name_backbone(backbone), width))
        body += [
            " & ".join([*cells, *_cells(arm, confidence)]) + " \\\\"
            for cells, arm, _ in lines
            if arm.backbone == backbone
        ]
    if not body:
        body.append(f"\\multicolumn{{{width}}}{{@{{}}l@{{}}}}{{no arm in this profile}} \\\\")
    first = len(label) + 6
    header = [
        " & ".join([*[""] * (first - 1), "\\multicolumn{2}{c}{coupling gain}"]),
        f"\\cmidrule(lr){{{first}-{first + 1}}}",
        " & ".join([*label, *HEADS]),
    ]
    return Table(
        name,
        columns,
        [_row(arm, scope.of, confidence) | extra for _, arm, extra in lines],
        "@{}" + "l" * len(label) + "@{\\hspace{6pt}}" + "c@{\\hspace{5pt}}" * (len(HEADS) - 1) + "c@{}",
        header,
        body,
        _notes([arm for _, arm, _ in lines], scope, confidence),
        long=True,
    )


def build_arms(results_root: Path, scope: AblationScope, confidence: float = 0.95) -> Table:
    """Table of the named arms beside the base, the method itself and its control without coupling."""
    view = ResultsView(results_root, scope.backbones, scope.seeds, confidence)
    lines = [
        ([escape_latex(name_method(arm.name))], arm, {})
        for backbone in scope.backbones
        for arm in (measure_arms(view, backbone, scope.list_shown(), scope.of) if scope.arms else [])
    ]
    return _build("ablations", ARM_COLUMNS, [""], lines, scope, confidence)


def build_grid(results_root: Path, scope: AblationScope, confidence: float = 0.95) -> Table:
    """Table of margin and KL, the method's own cell among them."""
    view = ResultsView(results_root, scope.backbones, scope.seeds, confidence)
    lines = []
    for backbone in scope.backbones:
        arms = measure_arms(view, backbone, [point.name for point in scope.points], scope.of)
        for point, arm in zip(scope.points, arms, strict=True):
            mark = "$^\\ddagger$" if point.name == scope.of else ""
            label = [f"{format_rate(point.margin)}{mark}", f"{point.kl:g}"]
            lines.append((label, arm, {"margin": point.margin, "kl": point.kl}))
    table = _build("margin_kl", GRID_COLUMNS, ["margin", "KL"], lines, scope, confidence)
    own = f"$^\\ddagger$ {escape_latex(name_method(scope.of))} itself."
    return table if not lines else Table(**{**vars(table), "notes": [*table.notes, own]})
