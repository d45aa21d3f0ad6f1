"""Figure 2: the harmfulness-refusal plane of the untreated backbones, per attack family and side."""

from collections.abc import Sequence
from pathlib import Path

from harc.results.figures.plane_panel import CLASSES, draw_plane, leave_headroom
from harc.results.figures.style import add_legend, open_figure, say_missing
from harc.results.geometry import SIDES, list_direction_files, read_band
from harc.results.plane import (Plane, choose_slot, list_projection_files, read_plane)
from harc.results.vocabulary import ATTACKS, name_backbone, name_suite
from harc.core.artifacts import BASE, Layout
from harc.settings.analysis import AnalysisSettings


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: projections on the base, and its layer choice (first seed only)."""
    return [
        *list_direction_files(results_root, backbones, [BASE], seeds[:1]),
        *list_projection_files(results_root, backbones, [BASE], seeds[:1]),
    ]


def _draw_panel(
    axes, plane: Plane, side: str, slot: int, attack: str, settings: AnalysisSettings
) -> str | None:
    """Draw one panel; returns what it lacks."""
    drawn = draw_plane(axes, plane, side, slot, (attack,), settings)
    if not any(name.startswith("attack") for name in drawn):
        say_missing(axes, f"{name_suite(attack)} projections")
        return f"{name_suite(attack)}, {side} side"
    return None


def _draw_backbone(panels, results_root, backbone: str, seed: int, settings: AnalysisSettings) -> list[str]:
    plane = read_plane(Layout(results_root).directions(backbone, BASE, seed))
    remarks = []
    for row, side in zip(panels, SIDES, strict=True):
        slot = None
        if plane is not None:
            slots = plane.coordinates(side, "harm").shape[1]
            slot = choose_slot(settings, read_band(results_root, backbone, seed), slots)
        for axes, attack in zip(row, ATTACKS, strict=True):
            if plane is None or slot is None:
                say_missing(axes, "projections")
                continue
            missing = _draw_panel(axes, plane, side, slot, attack, settings)
            remarks += [f"{missing} on {name_backbone(backbone)}"] if missing else []
        where = f", slot {slot}" if slot is not None else ""
        row[0].set_ylabel(f"{name_backbone(backbone)}\n{side} side{where}\nharmfulness", fontsize=7.5)
    return remarks if plane is not None else [f"projections of {name_backbone(backbone)}"]


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
) -> None:
    """Draw the figure for the first seed; axes are cosines with the base model's two directions."""
    rows = 2 * max(1, len(backbones))
    shape = {"sharey": "row", "sharex": "row"}
    with open_figure(rows, len(ATTACKS), 1.45 * rows + 0.6, out_pdf, out_png, **shape) as (
        figure,
        panels,
        remarks,
    ):
        for index, backbone in enumerate(backbones):
            own = panels[2 * index : 2 * index + 2]
            remarks.extend(_draw_backbone(own, results_root, backbone, seeds[0], settings))
        for axes, attack in zip(panels[0], ATTACKS, strict=True):
            axes.set_title(name_suite(attack))
        for axes in panels[-1]:
            axes.set_xlabel("refusal")
        for row in panels:
            leave_headroom(row[0])
        add_legend(figure, panels, [style[0] for style in CLASSES], 4)
