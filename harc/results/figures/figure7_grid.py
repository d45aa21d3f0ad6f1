"""Figure 7, grid: margin against weight of KL, as heat maps with the values and their intervals."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from harc.core.artifacts import BASE
from harc.results.comparisons import Arm, measure_arms
from harc.results.figures.arm_panels import GAINS, LABELS, Value, find_value, list_missing, make_title
from harc.results.figures.style import Canvas, open_canvas, say_missing
from harc.results.latex import format_rate
from harc.results.view import Results
from harc.results.vocabulary import name_backbone

COLOURS = "Blues"  # one hue, so that lightness alone tells
Points = Sequence[Sequence[Any]]  # run, margin, weight of KL


def select_units(profile: Any) -> list[list]:
    """Backbones, the base and the runs of the grid, and seeds of the profile's ablation."""
    scope = profile.scope_ablation()
    names = [point.name for point in scope.points]
    return [list(scope.backbones), [BASE, *names] if names else [], list(scope.seeds)]


def select_options(profile: Any) -> dict[str, Any]:
    """Margin and weight of KL of every run, and the method that the grid surrounds."""
    return {"points": [list(point) for point in profile.scope_ablation().points], "of": profile.ablation.of}


def list_inputs(view: Results) -> list[Path]:
    """Outcomes and directions of the grid's runs, directions of the base."""
    own = [name for name in view.methods if name != BASE]
    return [*view.list_files("scores", own), *view.list_files("directions", view.methods)]


def _write_cell(axes, column: int, row: int, cell: Value | None, dark: bool) -> None:
    if cell is None:
        axes.text(column, row, "n/a", ha="center", va="center", fontsize=7, style="italic")
        return
    colour = "white" if dark else "black"
    value, low, high = cell
    style = {"ha": "center", "va": "center", "color": colour}
    axes.text(column, row - (0.12 if low is not None else 0), format_rate(value), fontsize=8, **style)
    shown = "" if low is None else f"[{format_rate(low)}, {format_rate(high)}]"
    axes.text(column, row + 0.25, shown, fontsize=5.5, **style)


def _draw_map(
    axes,
    cells: dict[tuple[float, float], Value | None],
    span: tuple[float, float],
    own: tuple[float, float] | None,
) -> None:
    """One heat map; margins down, weights of KL across; the method's own cell has a frame."""
    margins, weights = (sorted({key[side] for key in cells}) for side in (0, 1))
    values = np.full((len(margins), len(weights)), np.nan)
    for (margin, weight), cell in cells.items():
        if cell is not None:
            values[margins.index(margin), weights.index(weight)] = cell[0]
    low, high = span
    axes.imshow(values, cmap=COLOURS, vmin=low, vmax=high, aspect="auto")
    for (row, margin), (column, weight) in product(enumerate(margins), enumerate(weights)):
        cell = cells.get((margin, weight))
        dark = cell is not None and high > low and (cell[0] - low) / (high - low) > 0.6
        _write_cell(axes, column, row, cell, dark)
    if own is not None:
        place = weights.index(own[1]) - 0.47, margins.index(own[0]) - 0.47
        axes.add_patch(Rectangle(place, 0.94, 0.94, fill=False, edgecolor="#D55E00", linewidth=1.6))
    axes.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
    axes.set_yticks(range(len(margins)), [format_rate(margin) for margin in margins])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _span(maps: Sequence[dict]) -> tuple[float, float]:
    """From 0, or the lowest value below it, to the highest end of an interval: noise must not look like a pattern."""
    found = [cell for cells in maps for cell in cells.values() if cell is not None]
    highest = max((cell[0] if cell[2] is None else cell[2] for cell in found), default=1.0)
    return min([0.0, *(cell[0] for cell in found)]), max(highest, 0.1)


def _read_maps(
    arms: Mapping[str, Sequence[Arm]], points: Points, quantity: str, confidence: float
) -> list[dict[tuple[float, float], Value | None]]:
    """One map per backbone: the quantity by margin and weight of KL."""
    return [
        {
            (margin, weight): find_value(arm, quantity, confidence)
            for (_, margin, weight), arm in zip(points, held, strict=True)
        }
        for held in arms.values()
    ]


def draw(view: Results) -> Canvas:
    """Draw the figure: a row per backbone, a column per quantity; darker is higher, rates on a scale of their own."""
    points, of = view.options.get("points", ()), view.options.get("of", "harc")
    rows = max(1, len(view.backbones) if points else 1)
    names = [name for name, _, _ in points]
    arms = {backbone: measure_arms(view, backbone, names, of) for backbone in view.backbones if points}
    own = next(((margin, weight) for name, margin, weight in points if name == of), None)
    canvas = open_canvas(rows, len(LABELS), 1.65 * rows + 0.7)
    if not arms:
        for axes in canvas.panels.flat:
            say_missing(axes, "grid of margin and KL")
        canvas.remarks.append("the grid, which this profile does not run")
        return canvas
    every = [arm for held in arms.values() for arm in held]
    maps = {quantity: _read_maps(arms, points, quantity, view.confidence) for quantity in LABELS}
    gains = [cells for quantity in GAINS for cells in maps[quantity]]
    for column, (quantity, held) in enumerate(maps.items()):
        span = _span(gains if quantity in GAINS else held)
        for axes, cells in zip(canvas.panels[:, column], held, strict=True):
            _draw_map(axes, cells, span, own)
        canvas.panels[0, column].set_title(make_title(quantity, every, view.seeds, view.mean_attacks))
        canvas.panels[-1, column].set_xlabel("weight of KL")
    for axes, backbone in zip(canvas.panels[:, 0], arms, strict=True):
        axes.set_ylabel(f"{name_backbone(backbone)}\nmargin")
    canvas.remarks += list_missing(arms, view.confidence)
    return canvas
