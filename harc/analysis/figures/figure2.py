"""Figure 2: the harmfulness-refusal plane of the untreated backbones, per attack family and side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.patches import Ellipse

from harc.analysis.figures.style import add_legend, create_figure, note_missing, save_figure, say_missing
from harc.analysis.geometry import SIDES, list_direction_files, read_band
from harc.analysis.latex import format_rate
from harc.analysis.plane import Plane, estimate_area, fit_ellipse, list_projection_files, read_plane
from harc.analysis.vocabulary import ATTACKS, name_backbone, name_suite
from harc.artifacts import BASE, Layout
from harc.config.analysis import AnalysisSettings

# class name, suites (None: the panel's attack), verdicts (None: any), colour, marker, line style
CLASSES = (
    ("direct harmful", ("direct",), None, "#000000", "s", "-"),
    ("attack, answered", None, ("correct",), "#D55E00", "x", "--"),
    ("attack, refused or garbled", None, ("refused", "garbled"), "#CC79A7", "+", ":"),
    ("wrapped benign", ("wrapped_benign",), None, "#0072B2", "o", "-."),
)
HEADROOM = 0.3  # share of the panel's height kept free for its text


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: projections on the base, and its layer choice (first seed only)."""
    return [
        *list_direction_files(results_root, backbones, [BASE], seeds[:1]),
        *list_projection_files(results_root, backbones, [BASE], seeds[:1]),
    ]


def choose_slot(settings: AnalysisSettings, selected: Sequence[int], slots: int) -> int:
    """The slot shown: the one set, else the lowest selected one, else the middle; never past the last."""
    if settings.plane_slot is not None:
        return min(settings.plane_slot, slots - 1)
    return min(selected) if selected else slots // 2


def _points(plane: Plane, side: str, slot: int, chosen) -> np.ndarray:
    points = np.stack(
        [plane.coordinates(side, "refusal")[chosen, slot], plane.coordinates(side, "harm")[chosen, slot]],
        axis=1,
    )
    return points[~np.isnan(points).any(axis=1)]


def _draw_class(axes, points: np.ndarray, style: tuple, settings: AnalysisSettings) -> None:
    name, _, _, colour, marker, line = style
    step = max(1, -(-len(points) // settings.plane_points))
    edge = {"facecolors": "none", "edgecolors": colour} if marker in "so" else {"color": colour}
    axes.scatter(*points[::step].T, s=7, marker=marker, linewidths=0.6, alpha=0.7, label=name, **edge)
    ellipse = fit_ellipse(points, settings.ellipse_coverage)
    if ellipse is not None:
        centre, width, height, angle = ellipse
        patch = Ellipse(
            centre, width, height, angle=angle, fill=False, edgecolor=colour, linestyle=line, linewidth=1.2
        )
        axes.add_patch(patch)


def _draw_panel(
    axes, plane: Plane, side: str, slot: int, attack: str, settings: AnalysisSettings
) -> str | None:
    """Draw one panel; returns what it lacks."""
    drawn, counts = [], []
    for style in CLASSES:
        points = _points(plane, side, slot, plane.select(style[1] or (attack,), style[2]))
        counts.append(str(len(points)))
        if len(points):
            _draw_class(axes, points, style, settings)
            drawn.append(style[0])
    harm = plane.coordinates(side, "harm")[:, slot]
    area = estimate_area(
        harm[plane.select((attack,))], harm[plane.select(("wrapped_benign",))], settings.confidence
    )
    text = f"n = {'/'.join(counts)}"
    if area:
        text += f"\nAUC {format_rate(area.estimate)} [{format_rate(area.low)}, {format_rate(area.high)}]"
    else:
        text += "\nAUC not available"
    axes.text(0.03, 1.0, text, transform=axes.transAxes, fontsize=6.2, va="top", linespacing=1.15)
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
    figure, panels = create_figure(rows, len(ATTACKS), 1.45 * rows + 0.6, sharey="row", sharex="row")
    remarks: list[str] = []
    for index, backbone in enumerate(backbones):
        remarks += _draw_backbone(
            panels[2 * index : 2 * index + 2], results_root, backbone, seeds[0], settings
        )
    for axes, attack in zip(panels[0], ATTACKS, strict=True):
        axes.set_title(name_suite(attack))
    for axes in panels[-1]:
        axes.set_xlabel("refusal")
    for row in panels:
        low, high = row[0].get_ylim()
        row[0].set_ylim(low, high + HEADROOM * (high - low))
    add_legend(figure, panels, [style[0] for style in CLASSES], 4)
    note_missing(figure, remarks)
    save_figure(figure, out_pdf, out_png)
