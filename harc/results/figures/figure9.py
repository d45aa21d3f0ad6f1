"""Figure 9: cosine of the two directions by relative depth, per model family, and how the families' profiles rank."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from harc.core.artifacts import BASE
from harc.results.evidence import estimate_agreement, read_family_profiles
from harc.results.figures.style import Canvas, draw_profile, open_canvas, say_missing, style_index
from harc.results.geometry import SIDES, Geometry, mean_profile
from harc.results.latex import format_rate
from harc.results.view import Results
from harc.results.vocabulary import name_backbone
from harc.stats.agreement import RankAgreement

COLUMNS = 3
POSITIVE, NEGATIVE = style_index(0)[0], style_index(1)[0]


def select_units(profile: Any) -> list[list]:
    """The study's backbones and the further families, untreated, on the families' seeds."""
    models, seeds = profile.scope_families()
    return [models, [BASE], seeds]


def list_inputs(view: Results) -> list[Path]:
    """The base directions and layer choices of every family."""
    return view.list_files("directions")


def name_family(model: str) -> str:
    """A model's label without the word that all organisms share: `organism (Phi-3)` is `Phi-3`."""
    return name_backbone(model).removeprefix("organism (").removesuffix(")")


def _depth(profile: np.ndarray) -> np.ndarray:
    return np.linspace(0.0, 1.0, len(profile))


def _draw_family(
    axes, model: str, geometries: Mapping[int, Geometry], profiles: Mapping[str, np.ndarray]
) -> None:
    """One family's profiles over those of the others, in grey."""
    for other, profile in profiles.items():
        if other != model:
            axes.plot(_depth(profile), profile, color="0.82", linewidth=0.8, zorder=1)
    for index, side in enumerate(SIDES):
        colour, marker, line = style_index(index)
        mean = mean_profile([geometry.profiles[side] for geometry in geometries.values()])
        band = {"color": colour, "alpha": 0.2, "linewidth": 0, "zorder": 2}
        style = {"color": colour, "marker": marker, "linestyle": line, "label": f"{side} side", "zorder": 3}
        draw_profile(axes, _depth(mean.cosine), mean, band, **style)
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    examples = next(iter(geometries.values())).examples
    counted = [f"n = {examples} per class"] if examples else []
    seeds = ", ".join(map(str, sorted(geometries)))
    axes.set_title(f"{name_family(model)}\n({', '.join([*counted, f'seed {seeds}'])})")


def _draw_agreement(axes, names: Sequence[str], agreement: RankAgreement, confidence: float) -> None:
    """Rank correlations of every two families, with their values; the mean and its interval above."""
    count = len(names)
    for row in range(count):
        for column in range(row):
            value = float(agreement.pairs[row, column])
            axes.add_patch(_make_square(column, row, value))
            axes.text(column, row, format_rate(value), ha="center", va="center", fontsize=7)
    axes.set_xlim(-0.5, count - 1.5)
    axes.set_ylim(count - 0.5, 0.5)
    axes.set_xticks(range(count - 1), names[:-1], rotation=35, ha="right")
    axes.set_yticks(range(1, count), names[1:])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _, low, high = map(format_rate, agreement.interval(confidence))
    axes.set_title(f"rank correlation, prompt side\nmean {format_rate(agreement.estimate)} [{low}, {high}]")


def _make_square(column: int, row: int, value: float) -> Rectangle:
    """A cell, the darker the further its value is from 0; blue above, orange below, grey without one."""
    colour = "0.6" if np.isnan(value) else POSITIVE if value >= 0 else NEGATIVE
    strength = 0.2 if np.isnan(value) else 0.6 * abs(value)
    return Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, alpha=strength, linewidth=0)


def draw(view: Results) -> Canvas:
    """Draw the figure: a panel per family, the last one for their agreement; bands as in figure 1."""
    models = view.backbones
    profiles = read_family_profiles(replace(view, families=models, family_seeds=view.seeds))
    rows = -(-(len(models) + 1) // COLUMNS)
    canvas = open_canvas(rows, COLUMNS, 2.05 * rows + 0.3)
    flat = list(canvas.panels.flat)
    for axes, model in zip(flat, models, strict=False):
        geometries = view.geometries(model, BASE)
        axes.set_ylim(-0.6, 1.02)
        if geometries:
            _draw_family(axes, model, geometries, profiles)
        else:
            axes.set_title(name_family(model))
            say_missing(axes, "base directions")
            canvas.remarks.append(f"base directions of {name_backbone(model)}")
    for place, axes in enumerate(flat[: len(models)]):
        axes.set_xlabel("relative depth" if place // COLUMNS == (len(models) - 1) // COLUMNS else "")
        axes.set_ylabel("cosine" if place % COLUMNS == 0 else "")
    agreement = estimate_agreement(profiles)
    if agreement is None:
        say_missing(flat[len(models)], "three families to compare")
    else:
        names = [name_family(model) for model in profiles]
        _draw_agreement(flat[len(models)], names, agreement, view.confidence)
    canvas.hide(len(models) + 1)
    canvas.add_legend([f"{side} side" for side in SIDES], 2)
    return canvas
