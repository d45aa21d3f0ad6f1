"""Figure 1: cosine of the harmfulness and refusal directions per slot of the untreated backbones."""

from pathlib import Path

import numpy as np

from harc.core.artifacts import BASE
from harc.results.figures.style import (
    Canvas,
    count_seeds,
    draw_profile,
    open_canvas,
    say_missing,
    style_index,
)
from harc.results.geometry import SIDES, Geometry, mean_profile
from harc.results.view import Results
from harc.results.vocabulary import name_backbone

COLUMNS = 3


def list_inputs(view: Results) -> list[Path]:
    """The base directions and layer choices."""
    return view.list_files("directions")


def _draw_panel(axes, geometries: dict[int, Geometry]) -> None:
    first = next(iter(geometries.values()))
    for index, side in enumerate(SIDES):
        colour, marker, line = style_index(index)
        profile = mean_profile([geometry.profiles[side] for geometry in geometries.values()])
        band = {"color": colour, "alpha": 0.2, "linewidth": 0}
        style = {"color": colour, "marker": marker, "linestyle": line, "label": f"{side} side"}
        draw_profile(axes, np.arange(len(profile.cosine)), profile, band, **style)
    axes.axvspan(first.eligible[0] - 0.5, first.eligible[1] + 0.5, color="0.94", zorder=0)
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=1)
    for geometry in geometries.values():
        axes.plot(geometry.selected, [-0.97] * len(geometry.selected), "k^", markersize=4, clip_on=False)
    axes.set_ylim(-1, 1.02)
    axes.set_xlabel("slot (residual entering block)")


def draw(view: Results) -> Canvas:
    """Draw the figure; bands are 95 % bootstrap intervals (one seed) or the extremes over seeds (several)."""
    columns = min(COLUMNS, max(1, len(view.backbones)))
    rows = -(-len(view.backbones) // columns) or 1
    canvas = open_canvas(rows, columns, 2.3 * rows + 0.2, sharey=True)
    for axes, backbone in zip(canvas.panels.flat, view.backbones, strict=False):
        name, geometries = name_backbone(backbone), view.geometries(backbone, BASE)
        if geometries:
            _draw_panel(axes, geometries)
            examples = next(iter(geometries.values())).examples
            counted = f", n = {examples} per class" if examples else ""
            axes.set_title(f"{name}\n({count_seeds(len(geometries))}{counted})")
        else:
            axes.set_title(name)
            say_missing(axes, "base directions")
            canvas.remarks.append(f"base directions of {name}")
    canvas.hide(len(view.backbones))
    canvas.panels[0, 0].set_ylabel("cosine (harmfulness, refusal)")
    canvas.add_legend([f"{side} side" for side in SIDES], 2)
    return canvas
