"""Figure pareto: every tuning point of every method on development prompts, attack success against over-refusal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.lines import Line2D

from harc.core.artifacts import BASE
from harc.results.figures.style import (
    GREY,
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
from harc.results.rates import find_front
from harc.results.readings import TuningPoint, locate_tuned, read_points, read_tuned
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, sort_methods


def list_inputs(view: Results) -> list[Path]:
    """The points, which come with the settings that were chosen from them; nothing of the run's own."""
    points = view.settings.tuning_points
    return [] if points is None else [points, locate_tuned(points)]


def _draw_method(
    axes, method: str, points: Sequence[TuningPoint], base: TuningPoint, criterion: Mapping[str, float]
) -> None:
    colour, marker, _ = style_method(method)
    ordered = sorted(points, key=lambda point: (point.over_refusal.rate, point.asr.rate))
    rates = [(point.over_refusal.rate, point.asr.rate) for point in ordered]
    axes.plot(*zip(*rates, strict=True), color=colour, linewidth=0.6, alpha=0.6, zorder=1)
    for point in ordered:
        x, y, chosen = point.over_refusal, point.asr, point.chosen
        cross = ((value.rate, value.low, value.high) for value in (x, y))
        draw_cross(axes, *cross, color=colour, linewidth=0.4, alpha=0.35, zorder=1)
        lossy = point.loses(base) > criterion["benign_allowance"]
        axes.scatter(
            x.rate,
            y.rate,
            s=52 if chosen else 16,
            marker=marker,
            facecolors="none" if lossy else colour,
            edgecolors="black" if chosen else colour,
            linewidths=1.0 if chosen else 0.8,
            zorder=4 if chosen else 3,
        )


def _draw_panel(axes, backbone: str, points: Sequence[TuningPoint], criterion: Mapping[str, float]) -> None:
    own = [point for point in points if point.backbone == backbone]
    base = next((point for point in own if point.method == BASE), None)
    axes.set_title(name_backbone(backbone))
    if not own or base is None:
        say_missing(axes, "tuning points")
        return
    for method in sort_methods(list(dict.fromkeys(point.method for point in own))):
        _draw_method(axes, method, [point for point in own if point.method == method], base, criterion)
    limit = base.over_refusal.rate + criterion["safe_allowance"]
    axes.axvline(limit, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
    front = find_front({str(n): (p.over_refusal.rate, p.asr.rate) for n, p in enumerate(own)})
    kept = [own[int(number)] for number in front]
    steps = [p.over_refusal.rate for p in kept], [p.asr.rate for p in kept]
    axes.step(*steps, where="post", color="black", linewidth=0.9, zorder=2)
    counted = f"n = {base.asr.n} attacked, {base.over_refusal.n} safe prompts"
    write_corner(axes, f"{counted}\n{count_seeds(len({point.seed for point in own}))}")


def _make_legend(methods: Sequence[str]) -> list[Line2D]:
    grey = {"ls": "", "marker": "o", "color": GREY}
    return [
        *mark_methods(methods, 4.5),
        Line2D([], [], **grey, markersize=7, markeredgecolor="black", label="chosen"),
        Line2D([], [], **grey, markersize=4.5, fillstyle="none", label="loses benign answers"),
        Line2D([], [], color="black", linewidth=0.9, label="Pareto front"),
        Line2D([], [], color=GREY, linestyle=":", linewidth=0.8, label="allowance"),
    ]


def draw(view: Results) -> Canvas:
    """Draw the figure: a panel per backbone, every point with its intervals, the front of all points as steps."""
    file = view.settings.tuning_points
    points = read_points(file)
    criterion = read_tuned(file)["tuning"] if file and points else {}
    canvas = open_canvas(1, len(view.backbones), 3.4, sharey=True)
    for axes, backbone in zip(canvas.panels[0], view.backbones, strict=False):
        _draw_panel(axes, backbone, points, criterion)
        axes.set_xlabel("mean over-refusal, development (lower is better)")
        axes.set_ylim(-0.03, 1.08)
        axes.set_xlim(left=-0.02)
    canvas.panels[0, 0].set_ylabel(label_attacks("mean attack success (lower is better)", view.mean_attacks))
    shown = sort_methods([point.method for point in points])
    if shown:
        place = {"loc": "outside upper center", "columnspacing": 1.2, "handletextpad": 0.3}
        canvas.figure.legend(handles=_make_legend(shown), ncols=5, **place)
    else:
        canvas.remarks.append("tuning points, which this profile does not name")
    return canvas
