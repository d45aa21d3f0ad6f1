"""Figure 5: attack success against over-refusal; the size of a marker is how much the model does of what it should."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.lines import Line2D

from harc.results.figures.style import (
    Canvas,
    count_seeds,
    draw_cross,
    label_attacks,
    mark_methods,
    open_canvas,
    say_missing,
    style_method,
    write_corner,
)
from harc.results.rates import Rate, find_front
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method, sort_methods

METRICS = ("mean_asr", "mean_over_refusal")
SMALLEST, LARGEST = 8.0, 90.0  # marker areas at rates of 0 and 1, square points
HELPFUL, PLAIN = "mean_helpfulness", "benign"


def list_inputs(view: Results) -> list[Path]:
    """Every model's outcomes."""
    return view.list_files("scores", view.every_method)


def marker_area(rate: float) -> float:
    """Area of a marker in square points."""
    return SMALLEST + (LARGEST - SMALLEST) * rate


def choose_size(view: Results) -> str:
    """The rate that is the size of a marker: helpfulness where its tasks were asked, else plain requests answered."""
    units = [(backbone, method) for backbone in view.backbones for method in view.every_method]
    return HELPFUL if any(view.estimate_rate(*unit, HELPFUL) for unit in units) else PLAIN


def _draw_method(axes, method: str, rates: Mapping[str, Rate], size: str) -> None:
    colour, marker, _ = style_method(method)
    refusal, attack = rates["mean_over_refusal"], rates["mean_asr"]
    draw_cross(axes, refusal[:3], attack[:3], color=colour, linewidth=0.7, zorder=2)
    edge = {"edgecolors": "black", "linewidths": 0.4}
    axes.scatter(
        refusal.estimate,
        attack.estimate,
        s=marker_area(rates[size].estimate),
        marker=marker,
        color=colour,
        label=name_method(method),
        zorder=3,
        **edge,
    )


def _draw_panel(axes, view: Results, backbone: str, size: str) -> tuple[list[str], list[str]]:
    """Draw one backbone; returns the methods drawn and what is missing."""
    points, remarks, sizes = {}, [], set()
    for method in view.every_method:
        found = {metric: view.estimate_rate(backbone, method, metric) for metric in (*METRICS, size)}
        rates = {metric: rate for metric, rate in found.items() if rate is not None}
        if len(rates) < len(found):
            remarks.append(f"{name_method(method)} on {name_backbone(backbone)}")
            continue
        _draw_method(axes, method, rates, size)
        points[method] = (rates["mean_over_refusal"].estimate, rates["mean_asr"].estimate)
        sizes.add((rates["mean_asr"].n, rates["mean_over_refusal"].n, rates["mean_asr"].seeds))
    front = [points[name] for name in find_front(points)]
    axes.plot(*(zip(*front, strict=True) if front else ([], [])), color="0.6", linewidth=0.8)
    axes.set_title(name_backbone(backbone))
    if not points:
        say_missing(axes, "scores of any method")
        return [], remarks
    attacks, refusals, count = max(sizes)
    write_corner(axes, f"n = {attacks} attacked, {refusals} safe prompts\n{count_seeds(count)}")
    return list(points), remarks


def draw(view: Results) -> Canvas:
    """Draw the figure: a panel per backbone, intervals on both axes, a line through undominated methods."""
    drawn: list[str] = []
    size = choose_size(view)
    canvas = open_canvas(1, len(view.backbones), 3.0, sharey=True)
    for axes, backbone in zip(canvas.panels[0], view.backbones, strict=False):
        shown, missing = _draw_panel(axes, view, backbone, size)
        drawn += shown
        canvas.remarks += missing
        axes.set_xlabel("mean over-refusal (lower is better)")
        axes.set_ylim(-0.03, 1.1)
        axes.set_xlim(left=-0.02)
    canvas.panels[0, 0].set_ylabel(label_attacks("mean attack success (lower is better)", view.mean_attacks))
    handles = mark_methods(sort_methods(drawn), 5)
    for level in (0.5, 1.0):  # what two sizes mean
        label = f"{'helpfulness' if size == HELPFUL else 'plain requests answered'} {level:g}"
        edge = marker_area(level) ** 0.5
        handles.append(Line2D([], [], ls="", marker="o", color="0.75", markersize=edge, label=label))
    place = {"loc": "outside upper center", "columnspacing": 1.2, "handletextpad": 0.3}
    canvas.figure.legend(handles=handles, ncols=min(7 if size == HELPFUL else 4, len(handles)), **place)
    return canvas
