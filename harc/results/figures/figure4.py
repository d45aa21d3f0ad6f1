"""Figure 4: the harmfulness-refusal plane after HARC, and what the model's state says of each token that it writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.results.figures.plane_panel import CLASSES, draw_plane, leave_headroom
from harc.results.figures.style import open_figure, say_missing
from harc.results.geometry import SIDES, list_direction_files, read_band
from harc.results.plane import AFTER, choose_slot, list_projection_files, read_plane
from harc.results.trajectories import (AXES, Trajectories, estimate_band, list_trajectory_files, read_trajectories)
from harc.results.vocabulary import ATTACKS, name_backbone, name_method
from harc.core.artifacts import BASE, Layout
from harc.settings.analysis import AnalysisSettings

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


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: projections under HARC, trajectories, the base's layer choice."""
    after = [method for method in methods if method == AFTER]
    return [
        *list_direction_files(results_root, backbones, [BASE] if methods else [], seeds),
        *list_projection_files(results_root, backbones, after, seeds),
        *list_trajectory_files(results_root, backbones, methods, seeds),
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
            band = estimate_band(values, settings.trajectory_resamples, settings.confidence)
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


def _draw_backbone(panels, results_root: Path, backbone: str, methods, seed: int, settings) -> list[str]:
    """Two rows: the plane's two sides on the left, the trajectory's two axes on the right."""
    layout, label = Layout(results_root), name_backbone(backbone)
    plane = read_plane(layout.directions(backbone, AFTER, seed)) if AFTER in methods else None
    read = {method: read_trajectories(layout.trajectories(backbone, method, seed)) for method in methods}
    traces = {method: traced for method, traced in read.items() if traced is not None}
    band = read_band(results_root, backbone, seed) if methods else ()
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


def _make_handles(methods: Sequence[str]) -> list[Any]:
    """Marks of the plane's classes, colours of the answers' classes, line styles of the methods."""
    from matplotlib.lines import Line2D

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


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
) -> None:
    """Draw the figure for the first seed; bands are bootstrap intervals over answers."""
    rows = 2 * max(1, len(backbones))
    shape = {"width_ratios": (1, 1.25)}
    with open_figure(rows, 2, 1.6 * rows + 0.9, out_pdf, out_png, **shape) as (figure, panels, remarks):
        for index, backbone in enumerate(backbones):
            own = panels[2 * index : 2 * index + 2]
            remarks.extend(_draw_backbone(own, results_root, backbone, methods, seeds[0], settings))
        for left, right in panels:
            leave_headroom(left)
            leave_headroom(right)
        panels[-1, 0].set_xlabel("refusal")
        panels[-1, 1].set_xlabel("token of the answer")
        figure.legend(handles=_make_handles(methods), loc="outside upper center", ncols=4, columnspacing=1.2)
