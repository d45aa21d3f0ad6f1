"""Figure 4: the harmfulness-refusal plane after HARC, and what the model's state says of each token that it writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.lines import Line2D

from harc.core.artifacts import BASE
from harc.results.figures.plane_panel import CLASSES, draw_plane, leave_headroom
from harc.results.figures.style import Canvas, open_canvas, say_missing
from harc.results.geometry import (
    AFTER,
    AXES,
    SIDES,
    Trajectories,
    choose_slot,
    read_band,
    read_plane,
    read_trajectories,
)
from harc.results.view import Results
from harc.results.vocabulary import ATTACKS, name_backbone, name_method
from harc.settings.analysis import AnalysisSettings
from harc.stats.intervals import mean_band

# class of an answer: label, colour, marker
ANSWERS = {
    "harmful_answered": ("harmful, answered", "#D55E00", "x"),
    "harmful_answered_by_base": ("the base's harmful answers", "#E69F00", "^"),
    "harmful_refused": ("harmful, refused", "#CC79A7", "+"),
    "benign_answered": ("benign, answered", "#0072B2", "o"),
}
OF_BASE = "harmful_answered_by_base"
LINES = ("-", (0, (4, 1.5)), (0, (1, 1)))  # by method, the base first


def select_units(profile: Any) -> list[list]:
    """Backbones, traced methods, and the first seed."""
    return [list(profile.backbones), list(profile.trajectories.methods), list(profile.seeds[:1])]


def list_inputs(view: Results) -> list[Path]:
    """Projections under HARC, trajectories, the base's layer choice."""
    after = [method for method in view.methods if method == AFTER]
    return [
        *view.list_files("directions", [BASE] if view.methods else []),
        *view.list_files("projections", after),
        *view.list_files("trajectories", view.methods),
    ]


def _draw_trajectories(
    axes, traces: Mapping[str, Trajectories], axis: str, slot: int, settings: AnalysisSettings
) -> list[str]:
    """One line with its band per class and method; returns what has too few answers."""
    counts, remarks = [], []
    for line, (method, traced) in zip(LINES, traces.items(), strict=False):
        names = [name for name in ANSWERS if method != BASE or name != OF_BASE]
        found = {name: traced.select(name, axis, slot) for name in names}
        for name, values in found.items():
            label, colour, marker = ANSWERS[name]
            band = mean_band(
                values, resamples=settings.trajectory_resamples, seed=0, confidence=settings.confidence
            )
            if band is None:
                remarks.append(f"{label} under {name_method(method)} (n = {len(values)})")
                continue
            axes.fill_between(band.tokens, band.low, band.high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(band.tokens, band.mean, color=colour, linestyle=line, marker=marker, markersize=3)
        sizes = [str(len(found[name])) if name in found else "--" for name in ANSWERS]
        counts.append(f"{name_method(method)} n = {'/'.join(sizes)}")
    axes.axhline(0, color="0.6", linewidth=0.6, zorder=1)
    axes.text(0.02, 1.0, "\n".join(counts), transform=axes.transAxes, fontsize=6.2, va="top")
    return remarks


def _draw_backbone(panels, view: Results, backbone: str) -> list[str]:
    """Two rows: the plane's two sides on the left, the trajectory's two axes on the right."""
    layout, label, seed = view.layout, name_backbone(backbone), view.seeds[0]
    methods, settings = view.methods, view.settings
    plane = read_plane(layout.directions(backbone, AFTER, seed)) if AFTER in methods else None
    read = {method: read_trajectories(layout.trajectories(backbone, method, seed)) for method in methods}
    traces = {method: traced for method, traced in read.items() if traced is not None}
    band = read_band(view.root, backbone, seed) if methods else ()
    remarks = [
        f"trajectories of {name_method(method)} on {label}" for method in methods if method not in traces
    ]
    for side, axis, (left, right) in zip(SIDES, AXES, panels, strict=True):
        if plane is None:
            say_missing(left, f"projections under {name_method(AFTER)}")
        else:
            slot = choose_slot(settings, band, plane.coordinates(side, "harm").shape[1])
            draw_plane(left, plane, side, slot, ATTACKS, settings)
            left.set_title(f"{label}, {side} side after {name_method(AFTER)}, slot {slot}", fontsize=7.5)
        left.set_ylabel("harmfulness")
        if not traces:
            say_missing(right, "trajectories of any method")
            continue
        slot = choose_slot(settings, band, next(iter(traces.values())).slots)
        few = _draw_trajectories(right, traces, axis, slot, settings)
        remarks += [f"{what} on {label}" for what in few]
        right.set_title(f"{label}, answers token by token, slot {slot}", fontsize=7.5)
        right.xaxis.get_major_locator().set_params(integer=True)
        right.set_ylabel(f"cosine with {'harmfulness' if axis == 'harm' else 'refusal'}")
    return remarks if plane is not None else [f"the plane of {label}", *remarks]


def _make_handles(methods: Sequence[str]) -> list[Line2D]:
    """Marks of the plane's classes, colours of the answers' classes, line styles of the methods."""
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, markerfacecolor="none", markersize=4, label=name)
        for name, _, _, colour, marker, _ in CLASSES
    ]
    handles += [
        Line2D([], [], color=colour, marker=marker, markersize=3, label=label)
        for label, colour, marker in ANSWERS.values()
    ]
    return handles + [
        Line2D([], [], color="black", linestyle=line, label=f"line: {name_method(method)}")
        for method, line in zip(methods, LINES, strict=False)
    ]


def draw(view: Results) -> Canvas:
    """Draw the figure for the first seed; bands are bootstrap intervals over answers."""
    rows = 2 * max(1, len(view.backbones))
    canvas = open_canvas(rows, 2, 1.6 * rows + 0.9, width_ratios=(1, 1.25))
    for index, backbone in enumerate(view.backbones):
        canvas.remarks += _draw_backbone(canvas.panels[2 * index : 2 * index + 2], view, backbone)
    for axes in canvas.panels.flat:
        leave_headroom(axes)
    canvas.panels[-1, 0].set_xlabel("refusal")
    canvas.panels[-1, 1].set_xlabel("token of the answer")
    handles = _make_handles(view.methods)
    canvas.figure.legend(handles=handles, loc="outside upper center", ncols=4, columnspacing=1.2)
    return canvas
