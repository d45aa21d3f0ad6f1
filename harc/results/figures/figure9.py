"""Figure 9: cosine of the two directions by relative depth, per model family, and how the families' profiles rank."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from harc.results.evidence import ResultsView
from harc.results.family_agreement import (Agreement, bound_agreement, estimate_agreement, read_family_profiles)
from harc.results.figures.style import (add_legend, open_figure, say_missing, style_index)
from harc.results.geometry import (SIDES, Geometry, list_direction_files, mean_profile)
from harc.results.latex import format_rate
from harc.results.vocabulary import name_backbone
from harc.core.artifacts import BASE
from harc.settings.analysis import AnalysisSettings

COLUMNS = 3
POSITIVE, NEGATIVE = style_index(0)[0], style_index(1)[0]


def select_units(profile: Any) -> list[list]:
    """The study's backbones and the further families, untreated, on the families' seeds."""
    models, seeds = profile.scope_families()
    return [models, [BASE], seeds]


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: the base directions and layer choices of every family."""
    return list_direction_files(results_root, backbones, [BASE], seeds)


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
        profile = mean_profile([geometry.profiles[side] for geometry in geometries.values()])
        depth = _depth(profile.cosine)
        axes.plot(
            depth, profile.cosine, color=colour, marker=marker, linestyle=line, label=f"{side} side", zorder=3
        )
        if not np.isnan(profile.low).all():
            axes.fill_between(
                depth, profile.low, profile.high, color=colour, alpha=0.2, linewidth=0, zorder=2
            )
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=0)
    examples = next(iter(geometries.values())).examples
    counted = [f"n = {examples} per class"] if examples else []
    seeds = ", ".join(map(str, sorted(geometries)))
    axes.set_title(f"{name_family(model)}\n({', '.join([*counted, f'seed {seeds}'])})")


def _draw_agreement(axes, names: Sequence[str], agreement: Agreement, confidence: float) -> None:
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
    low, high = (format_rate(bound) for bound in bound_agreement(agreement, confidence))
    axes.set_title(f"rank correlation, prompt side\nmean {format_rate(agreement.estimate)} [{low}, {high}]")


def _make_square(column: int, row: int, value: float) -> Rectangle:
    """A cell, the darker the further its value is from 0; blue above, orange below, grey without one."""
    colour = "0.6" if np.isnan(value) else POSITIVE if value >= 0 else NEGATIVE
    strength = 0.2 if np.isnan(value) else 0.6 * abs(value)
    return Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, alpha=strength, linewidth=0)


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
) -> None:
    """Draw the figure: a panel per family, the last one for their agreement; bands as in figure 1."""
    view = ResultsView(results_root, backbones, seeds, settings.confidence, backbones, seeds)
    profiles = read_family_profiles(view)
    rows = -(-(len(backbones) + 1) // COLUMNS)
    with open_figure(rows, COLUMNS, 2.05 * rows + 0.3, out_pdf, out_png) as (figure, panels, remarks):
        flat = list(panels.flat)
        for axes, model in zip(flat, backbones, strict=False):
            geometries = view.geometries(model, BASE)
            axes.set_ylim(-0.6, 1.02)
            if geometries:
                _draw_family(axes, model, geometries, profiles)
            else:
                axes.set_title(name_family(model))
                say_missing(axes, "base directions")
                remarks.append(f"base directions of {name_backbone(model)}")
        for place, axes in enumerate(flat[: len(backbones)]):
            axes.set_xlabel("relative depth" if place // COLUMNS == (len(backbones) - 1) // COLUMNS else "")
            axes.set_ylabel("cosine" if place % COLUMNS == 0 else "")
        last = flat[len(backbones)]
        agreement = estimate_agreement(profiles)
        if agreement is None:
            say_missing(last, "three families to compare")
        else:
            _draw_agreement(last, [name_family(model) for model in profiles], agreement, settings.confidence)
        for axes in flat[len(backbones) + 1 :]:
            axes.set_visible(False)
        add_legend(figure, panels, [f"{side} side" for side in SIDES], 2)
