"""Figure 3: cosine of the harmfulness and refusal directions per slot before and after each method."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harc.results.figures.style import (
    Canvas,
    count_seeds,
    draw_profile,
    open_canvas,
    say_missing,
    style_line,
)
from harc.results.geometry import SIDES, mean_profile, read_band, read_geometries
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method

NULL_ARM = "permuted_label"


def select_options(profile: Any) -> dict[str, Any]:
    """Models that were trained on directions from permuted labels, as [backbone, seed]: the null of every gain."""
    scope = profile.scope_ablation()
    if NULL_ARM not in scope.arms:
        return {"nulls": []}
    return {"nulls": [[backbone, seed] for backbone in scope.backbones for seed in scope.seeds]}


def list_inputs(view: Results) -> list[Path]:
    """Directions and layer choices of the base, of every method, and of the null."""
    nulls = [
        path
        for backbone, seed in view.options.get("nulls", ())
        for path in replace(view, backbones=[backbone]).list_files("directions", [NULL_ARM], [seed])
    ]
    return [*view.list_files("directions", view.every_method), *nulls]


def _draw_null(panels, view: Results, backbone: str) -> None:
    """Hatch the null: the bootstrap band of one seed, the extremes of several; a line where there is no band."""
    seeds = [seed for name, seed in view.options.get("nulls", ()) if name == backbone]
    geometries = read_geometries(view.root, backbone, NULL_ARM, seeds).values()
    band = {"facecolor": "none", "edgecolor": "0.35", "hatch": "////", "linewidth": 0.3, "zorder": 1}
    style = {"color": "0.35", "linestyle": (0, (1, 2)), "label": name_method(NULL_ARM)}
    for axes, side in zip(panels, SIDES, strict=True):
        if geometries:
            profile = mean_profile([geometry.profiles[side] for geometry in geometries])
            draw_profile(axes, np.arange(len(profile.cosine)), profile, band, **style)


def _mark_bands(axes, bands: Sequence[tuple[int, ...]]) -> None:
    """Shade the slots that were selected on the base; several seeds overlap and darken."""
    for band in bands:
        for slot in band:
            axes.axvspan(slot - 0.5, slot + 0.5, color="0.5", alpha=0.25 / len(bands), linewidth=0, zorder=0)


def _draw_column(panels, view: Results, backbone: str) -> tuple[int, list[str]]:
    """Draw one backbone's panels; returns the number of seeds and what is missing."""
    remarks, most = [], 0
    bands = [band for seed in view.seeds if (band := read_band(view.root, backbone, seed))]
    for method in view.every_method:
        geometries = view.geometries(backbone, method)
        most = max(most, len(geometries))
        if not geometries:
            remarks.append(f"{name_method(method)} on {name_backbone(backbone)}")
            continue
        style = style_line(method)
        shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
        for axes, side in zip(panels, SIDES, strict=True):
            profile = mean_profile([geometry.profiles[side] for geometry in geometries.values()])
            draw_profile(axes, np.arange(len(profile.cosine)), profile, shade, **style)
    for axes in panels:
        axes.axhline(0, color="0.6", linewidth=0.6, zorder=1)
        axes.set_ylim(-1, 1.02)
        if most:
            _mark_bands(axes, bands)
        else:
            say_missing(axes, "directions of any method")
    return most, remarks


def draw(view: Results) -> Canvas:
    """Draw the figure: a column per backbone, prompt side above response side, trained slots shaded, null hatched."""
    canvas = open_canvas(2, len(view.backbones), 4.2, sharey=True, sharex="col")
    for column, backbone in enumerate(view.backbones):
        shown = canvas.panels[:, column]
        count, missing = _draw_column(shown, view, backbone)
        canvas.remarks += missing
        _draw_null(shown, view, backbone)
        shown[0].set_title(f"{name_backbone(backbone)} ({count_seeds(count)})")
        shown[1].set_xlabel("slot (residual entering block)")
    for axes, side in zip(canvas.panels[:, 0], SIDES, strict=True):
        axes.set_ylabel(f"cosine, {side} side")
    canvas.add_legend(map(name_method, [*view.every_method, NULL_ARM]), 6)
    return canvas
