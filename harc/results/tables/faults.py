"""The faults of the published code, each a named switch: what it does, what we do, the effect."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.results.latex import (MISSING, escape_latex, format_interval, format_p, format_signed)
from harc.results.outcomes import read_by_seed
from harc.results.rates import Difference, estimate_difference
from harc.results.tables.layout import Table, stack_cell
from harc.results.vocabulary import name_backbone
from harc.stats.statistics import holm

METRICS = ("mean_asr", "scary_safe")
ENDS = ("", "_low", "_high", "_p", "_p_holm")
COLUMNS = (
    "switch",
    "released",
    "corrected",
    "backbone",
    *(f"{metric}{end}" for metric in METRICS for end in ENDS),
    "n",
    "seeds",
    "without_effect",
)
TOGETHER = "all together"
Switch = Mapping[str, Any]  # name, released, corrected
Effects = dict[tuple[str, str], tuple[Difference | None, float | None]]  # by (switch, metric)


def _measure(
    results_root: Path, backbone: str, seeds: Sequence[int], cases: Sequence[Switch], confidence: float
) -> Effects:
    """Effect of each fault switched on in the corrected method, with p adjusted over the faults of one metric."""
    corrected = read_by_seed(results_root, backbone, "harc", seeds)
    effects: Effects = {}
    for metric in METRICS:
        found = {
            case["name"]: estimate_difference(
                corrected, read_by_seed(results_root, backbone, case["method"], seeds), metric, confidence
            )
            for case in cases
        }
        tested = [name for name, difference in found.items() if difference]
        adjusted = dict(zip(tested, holm([found[name].p for name in tested]), strict=True))
        effects |= {(name, metric): (found[name], adjusted.get(name)) for name in found}
    return effects


def _cell(difference: Difference | None, adjusted: float | None, reason: str | None) -> str:
    if difference is None:
        return f"{MISSING}$^\\{'ddagger' if reason else 'dagger'}$"
    interval = format_interval(difference.low, difference.high).replace(", ", ",")
    return stack_cell([format_signed(difference.estimate), interval, format_p(adjusted)])


def _row(case: Switch, backbone: str, effects: Effects) -> dict:
    row = {name: case[name] for name in ("released", "corrected", "without_effect")}
    row |= {"switch": case["name"], "backbone": backbone}
    for metric in METRICS:
        difference, adjusted = effects[case["name"], metric]
        if difference is not None:
            values = (*difference[:4], adjusted)
            row |= {f"{metric}{end}": value for end, value in zip(ENDS, values, strict=True)}
            row |= {"n": difference.n, "seeds": difference.seeds}
    return row


def _notes(cases: Sequence[Switch], rows: Sequence[Mapping], confidence: float) -> list[str]:
    single = max((row.get("seeds", 0) for row in rows if row["switch"] != TOGETHER), default=0)
    together = max((row.get("seeds", 0) for row in rows if row["switch"] == TOGETHER), default=0)
    notes = [
        f"Effects: paired differences from corrected HARC with {100 * confidence:g}\\% intervals and two-sided "
        f"$p$, Holm-adjusted over the rows of a column. Seeds: {single or MISSING} for single faults, "
        f"{together or MISSING} for all together.",
        f"$^\\dagger$ {MISSING}: the arm was not run on this backbone in this profile.",
    ]
    reasons = [
        f"{case['name'].replace('_', ' ')}: {case['without_effect']}"
        for case in cases
        if case["without_effect"]
    ]
    if reasons:
        notes.append(
            f"$^\\ddagger$ {MISSING}: cannot act in this profile ({escape_latex('; '.join(reasons))})."
        )
    return notes


def build_table(
    switches: Sequence[Switch],
    results_root: Path,
    backbones: Sequence[str],
    seeds: Sequence[int],
    confidence: float = 0.95,
    without_effect: Mapping[str, str] | None = None,
) -> Table:
    """One line per switch; the effect (switched on, minus corrected HARC) where the profile ran that arm.

    Args:
        switches: name, value in the release, value in the corrected method.
        results_root: root of the results tree.
        backbones: names.
        seeds: training seeds; each fault is compared on those that it was run on.
        confidence: coverage of the intervals.
        without_effect: why a switch cannot act in this profile, by its name.
    """
    reasons = without_effect or {}
    cases = [
        {**s, "method": f"released_{s['name']}", "without_effect": reasons.get(s["name"])} for s in switches
    ]
    together = {"name": TOGETHER, "released": "all", "corrected": "none"}
    cases.append({**together, "method": "harc_released", "without_effect": None})
    effects = {backbone: _measure(results_root, backbone, seeds, cases, confidence) for backbone in backbones}
    rows, body = [], []
    for case in cases:
        cells = [
            escape_latex(str(case[name]).replace("_", " ")) for name in ("name", "released", "corrected")
        ]
        for backbone in backbones:
            rows.append(_row(case, backbone, effects[backbone]))
            cells += [
                _cell(*effects[backbone][case["name"], metric], case["without_effect"]) for metric in METRICS
            ]
        body.append(" & ".join(cells) + " \\\\")
    heads = [f"\\multicolumn{{2}}{{c}}{{{escape_latex(name_backbone(backbone))}}}" for backbone in backbones]
    rules = "".join(f"\\cmidrule(lr){{{4 + 2 * i}-{5 + 2 * i}}}" for i in range(len(backbones)))
    header = [
        " & ".join(["", "", "", *heads]),
        rules,
        " & ".join(["switch", "released", "corrected", *(["mean ASR", "scary but safe"] * len(backbones))]),
    ]
    align = "@{}lll" + "cc" * len(backbones) + "@{}"
    return Table("faults", COLUMNS, rows, align, header, body, _notes(cases, rows, confidence))
