"""Figure 3: cosine of the harmfulness and refusal directions per slot before and after each method."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harc.results.figures.style import (add_legend, open_figure, say_missing, style_method)
from harc.results.geometry import (SIDES, list_direction_files, mean_profile, read_band, read_geometries)
from harc.results.vocabulary import include_base, name_backbone, name_method
from harc.settings.analysis import AnalysisSettings

NULL_ARM = "permuted_label"


def select_options(profile: Any) -> dict[str, Any]:
    """Models that were trained on directions from permuted labels, as [backbone, seed]: the null of every gain."""
    scope = profile.scope_ablation()
    if NULL_ARM not in scope.arms:
        return {"nulls": []}
    return {"nulls": [[backbone, seed] for backbone in scope.backbones for seed in scope.seeds]}


def list_further_inputs(results_root: Path, nulls: Sequence[Sequence]) -> list[Path]:
    """Directions of the null."""
    return [
        path
        for backbone, seed in nulls
        for path in list_direction_files(results_root, [backbone], [NULL_ARM], [seed])
    ]


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: directions and layer choices of the base and of every method."""
    return list_direction_files(results_root, backbones, include_base(methods), seeds)


def _draw_method(axes, method: str, profile) -> None:
    colour, marker, line = style_method(method)
    slots = np.arange(len(profile.cosine))
    axes.plot(slots, profile.cosine, color=colour, marker=marker, linestyle=line, label=name_method(method))
    if not np.isnan(profile.low).all():
        axes.fill_between(slots, profile.low, profile.high, color=colour, alpha=0.15, linewidth=0)


def _draw_null(panels, results_root: Path, backbone: str, nulls: Sequence[Sequence]) -> None:
    """Hatch the null: the bootstrap band of one seed, the extremes of several; a line where there is no band."""
    seeds = [seed for name, seed in nulls if name == backbone]
    geometries = read_geometries(results_root, backbone, NULL_ARM, seeds).values()
    for axes, side in zip(panels, SIDES, strict=True):
        if not geometries:
            continue
        profile = mean_profile([geometry.profiles[side] for geometry in geometries])
        slots = np.arange(len(profile.cosine))
        axes.plot(slots, profile.cosine, color="0.35", linestyle=(0, (1, 2)), label=name_method(NULL_ARM))
        if not np.isnan(profile.low).all():
            band = {"facecolor": "none", "edgecolor": "0.35", "hatch": "////", "linewidth": 0.3}
            axes.fill_between(slots, profile.low, profile.high, zorder=1, **band)


def _mark_bands(axes, bands: Sequence[tuple[int, ...]]) -> None:
    """Shade the slots that were selected on the base; several seeds overlap and darken."""
    for band in bands:
        for slot in band:
            axes.axvspan(slot - 0.5, slot + 0.5, color="0.5", alpha=0.25 / len(bands), linewidth=0, zorder=0)


def _draw_column(panels, results_root, backbone, methods, seeds) -> tuple[int, list[str]]:
    """Draw one backbone's panels; returns the number of seeds and what is missing."""
    remarks, most = [], 0
    bands = [band for band in (read_band(results_root, backbone, seed) for seed in seeds) if band]
    for method in methods:
        geometries = read_geometries(results_root, backbone, method, seeds)
        most = max(most, len(geometries))
        if not geometries:
            remarks.append(f"{name_method(method)} on {name_backbone(backbone)}")
            continue
        for axes, side in zip(panels, SIDES, strict=True):
            _draw_method(axes, method, mean_profile([g.profiles[side] for g in geometries.values()]))
    for axes in panels:
        axes.axhline(0, color="0.6", linewidth=0.6, zorder=1)
        axes.set_ylim(-1, 1.02)
        if most:
            _mark_bands(axes, bands)
        else:
            say_missing(axes, "directions of any method")
    return most, remarks


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
    nulls: Sequence[Sequence] = (),
) -> None:
    """Draw the figure: a column per backbone, prompt side above response side, trained slots shaded, null hatched."""
    columns = max(1, len(backbones))
    with open_figure(2, columns, 4.2, out_pdf, out_png, sharey=True, sharex="col") as (
        figure,
        panels,
        remarks,
    ):
        for column, backbone in enumerate(backbones):
            shown = panels[:, column]
            count, missing = _draw_column(shown, results_root, backbone, include_base(methods), seeds)
            remarks.extend(missing)
            _draw_null(shown, results_root, backbone, nulls)
            shown[0].set_title(f"{name_backbone(backbone)} ({count} seed{'s' if count != 1 else ''})")
            shown[1].set_xlabel("slot (residual entering block)")
        for axes, side in zip(panels[:, 0], SIDES, strict=True):
            axes.set_ylabel(f"cosine, {side} side")
        add_legend(figure, panels, map(name_method, [*include_base(methods), NULL_ARM]), 6)
