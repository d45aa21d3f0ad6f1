"""What a model's state reads as while it writes: means over the tokens of its answers by class, and separability."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harc.results.geometry import read_band
from harc.results.latex import (MISSING, escape_latex, format_interval, format_rate)
from harc.results.plane import choose_slot, estimate_area
from harc.results.tables.layout import Table
from harc.results.trajectories import (AXES, Trajectories, estimate_mean, read_trajectories)
from harc.results.vocabulary import name_backbone, name_method
from harc.core.artifacts import Layout
from harc.settings.analysis import AnalysisSettings

QUANTITIES = (*AXES, "area")
COLUMNS = (
    "backbone", "method", "class", "n", "slot", *(f"{q}{end}" for q in QUANTITIES for end in ("", "_low", "_high")),
)  # fmt: skip
BENIGN = "benign_answered"
ABSENT = "\\multicolumn{4}{@{}l@{}}{no answers are read token by token in this profile} \\\\"


def _measure_classes(traced: Trajectories, slot: int, settings: AnalysisSettings) -> list[dict]:
    """A row per class of answers: mean cosines, and the area of harm against the benign answers."""
    means = {
        name: {axis: np.nanmean(traced.select(name, axis, slot), axis=1) for axis in AXES}
        for name in dict.fromkeys(traced.classes)
    }
    rows = []
    for name, held in means.items():
        row: dict = {"class": name, "n": len(held["harm"]), "slot": slot}
        for axis, values in held.items():
            bounds = estimate_mean(values, settings.trajectory_resamples, settings.confidence)
            row |= dict(zip((axis, f"{axis}_low", f"{axis}_high"), bounds, strict=True))
        if name != BENIGN and BENIGN in means:
            area = estimate_area(held["harm"], means[BENIGN]["harm"], settings.confidence)
            row |= {} if area is None else dict(zip(("area", "area_low", "area_high"), area[:3], strict=True))
        rows.append(row)
    return rows


def _cell(row: dict, column: str) -> str:
    if row.get(column) is None:
        return MISSING
    return f"${format_rate(row[column])}$ {format_interval(row[f'{column}_low'], row[f'{column}_high'])}"


def build_table(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
) -> Table:
    """The table, for the first seed.

    Args:
        results_root: root of the results tree.
        backbones: names.
        methods: those that the profile traces.
        seeds: training seeds.
        settings: slot, resamples, coverage.
    """
    rows = []
    for backbone in backbones:
        for method in methods:
            traced = read_trajectories(Layout(results_root).trajectories(backbone, method, seeds[0]))
            if traced is not None:
                slot = choose_slot(settings, read_band(results_root, backbone, seeds[0]), traced.slots)
                names = {"backbone": backbone, "method": method}
                rows += [names | row for row in _measure_classes(traced, slot, settings)]
    body = []
    for row in rows:
        names = [name_backbone(row["backbone"]), name_method(row["method"]), row["class"].replace("_", " ")]
        cells = [str(row["n"]), *(_cell(row, column) for column in QUANTITIES)]
        body.append(" & ".join([*map(escape_latex, names), *cells]) + " \\\\")
    slots = dict.fromkeys((row["backbone"], row["slot"]) for row in rows)
    shown = ", ".join(f"{slot} ({escape_latex(name_backbone(name))})" for name, slot in slots) or MISSING
    notes = [
        f"Cosines with the untreated model's response directions at slot {shown}, averaged over an answer's tokens, "
        "then over answers, with bootstrap intervals over answers. AUC: against the benign answers of the same "
        f"reader, with DeLong's interval; {MISSING}: the benign answers themselves, or too few.",
    ]
    header = [" & ".join(["backbone", "reader", "answers", "$n$", "harm", "refusal", "AUC of harm"])]
    return Table("trajectories", COLUMNS, rows, "@{}lllrccc@{}", header, body or [ABSENT], notes)
