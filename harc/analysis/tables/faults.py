"""The faults of the published code, each a named switch: what it does, what we do, the effect."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.analysis.latex import MISSING, escape_latex, format_interval, format_signed
from harc.analysis.outcomes import read_by_seed
from harc.analysis.rates import Difference, estimate_difference
from harc.analysis.tables.layout import Table, stack_cell
from harc.analysis.vocabulary import name_backbone

METRICS = ("mean_asr", "scary_safe")
COLUMNS = (
    "switch",
    "released",
    "corrected",
    "backbone",
    *(f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")),
    "n",
    "seeds",
)
Switch = Mapping[str, Any]  # name, released, corrected


def _measure(
    results_root: Path, backbone: str, seeds: Sequence[int], method: str, confidence: float
) -> dict[str, Difference | None]:
    """Effect of one fault switched on in the corrected method, by metric."""
    corrected = read_by_seed(results_root, backbone, "harc", seeds)
    faulty = read_by_seed(results_root, backbone, method, seeds)
    return {metric: estimate_difference(corrected, faulty, metric, confidence) for metric in METRICS}


def _cell(difference: Difference | None) -> str:
    if difference is None:
        return f"{MISSING}$^\\dagger$"
    interval = format_interval(difference.low, difference.high).replace(", ", ",")
    return stack_cell([format_signed(difference.estimate), interval])


def _row(switch: Switch, backbone: str, effects: dict[str, Difference | None]) -> dict:
    row = {name: switch[name] for name in ("released", "corrected")}
    row |= {"switch": switch["name"], "backbone": backbone}
    for metric, difference in effects.items():
        if difference is not None:
            values = dict(zip(("", "_low", "_high"), difference[:3], strict=True))
            row |= {f"{metric}{end}": value for end, value in values.items()}
            row |= {"n": difference.n, "seeds": difference.seeds}
    return row


def build_table(
    switches: Sequence[Switch],
    results_root: Path,
    backbones: Sequence[str],
    seeds: Sequence[int],
    confidence: float = 0.95,
) -> Table:
    """One line per switch; the effect (switched on, minus corrected HARC) where the profile ran that arm.

    Args:
        switches: name, value in the release, value in the corrected method.
        results_root: root of the results tree.
        backbones: names.
        seeds: training seeds.
        confidence: coverage of the intervals.
    """
    rows, body = [], []
    cases = [(dict(s), f"released_{s['name']}") for s in switches]
    cases.append(({"name": "all together", "released": "", "corrected": ""}, "harc_released"))
    for switch, method in cases:
        cells = [
            escape_latex(str(switch[name]).replace("_", " ")) for name in ("name", "released", "corrected")
        ]
        for backbone in backbones:
            effects = _measure(results_root, backbone, seeds, method, confidence)
            rows.append(_row(switch, backbone, effects))
            cells += [_cell(effects[metric]) for metric in METRICS]
        body.append(" & ".join(cells) + " \\\\")
    heads = [f"\\multicolumn{{2}}{{c}}{{{escape_latex(name_backbone(backbone))}}}" for backbone in backbones]
    rules = "".join(f"\\cmidrule(lr){{{4 + 2 * i}-{5 + 2 * i}}}" for i in range(len(backbones)))
    header = [
        " & ".join(["", "", "", *heads]),
        rules,
        " & ".join(["switch", "released", "corrected", *(["mean ASR", "scary but safe"] * len(backbones))]),
    ]
    notes = [
        f"Effects: paired differences from corrected HARC with {100 * confidence:g}\\% intervals.",
        f"$^\\dagger$ {MISSING}: the arm was not run in this profile.",
    ]
    return Table("faults", COLUMNS, rows, "@{}lll" + "cc" * len(backbones) + "@{}", header, body, notes)
