"""Figure 1: cosine of the harmfulness and refusal directions per slot of the untreated backbones."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harc.results.figures.style import (add_legend, open_figure, say_missing, style_index)
from harc.results.geometry import (SIDES, Geometry, list_direction_files, mean_profile, read_geometries)
from harc.results.vocabulary import name_backbone
from harc.core.artifacts import BASE
from harc.settings.analysis import AnalysisSettings

COLUMNS = 3


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: the base directions and layer choices."""
    return list_direction_files(results_root, backbones, [BASE], seeds)


def _draw_panel(axes, geometries: dict[int, Geometry]) -> None:
    first = next(iter(geometries.values()))
    for index, side in enumerate(SIDES):
        colour, marker, line = style_index(index)
        profile = mean_profile([geometry.profiles[side] for geometry in geometries.values()])
        slots = np.arange(len(profile.cosine))
        axes.plot(slots, profile.cosine, color=colour, marker=marker, linestyle=line, label=f"{side} side")
        if not np.isnan(profile.low).all():
            axes.fill_between(slots, profile.low, profile.high, color=colour, alpha=0.2, linewidth=0)
    axes.axvspan(first.eligible[0] - 0.5, first.eligible[1] + 0.5, color="0.94", zorder=0)
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=1)
    for geometry in geometries.values():
        axes.plot(geometry.selected, [-0.97] * len(geometry.selected), "k^", markersize=4, clip_on=False)
    axes.set_ylim(-1, 1.02)
    axes.set_xlabel("slot (residual entering block)")


def _title(backbone: str, geometries: dict[int, Geometry]) -> str:
    seeds = len(geometries)
    examples = next(iter(geometries.values())).examples
    parts = [f"{seeds} seed{'s' if seeds > 1 else ''}"] + ([f"n = {examples} per class"] if examples else [])
    return f"{name_backbone(backbone)}\n({', '.join(parts)})"


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
) -> None:
    """Draw the figure; bands are 95 % bootstrap intervals (one seed) or the extremes over seeds (several)."""
    columns = min(COLUMNS, max(1, len(backbones)))
    rows = -(-len(backbones) // columns) or 1
    with open_figure(rows, columns, 2.3 * rows + 0.2, out_pdf, out_png, sharey=True) as (
        figure,
        panels,
        remarks,
    ):
        for axes, backbone in zip(panels.flat, backbones, strict=False):
            geometries = read_geometries(results_root, backbone, BASE, seeds)
            if geometries:
                _draw_panel(axes, geometries)
                axes.set_title(_title(backbone, geometries))
            else:
                axes.set_title(name_backbone(backbone))
                say_missing(axes, "base directions")
                remarks.append(f"base directions of {name_backbone(backbone)}")
        for axes in list(panels.flat)[len(backbones) :]:
            axes.set_visible(False)
        panels[0, 0].set_ylabel("cosine (harmfulness, refusal)")
        add_legend(figure, panels, [f"{side} side" for side in SIDES], 2)
