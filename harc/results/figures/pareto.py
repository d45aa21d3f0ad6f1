"""Figure pareto: every tuning point of every method on development prompts, attack success against over-refusal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.lines import Line2D

from harc.results.figures.style import (GREY, open_figure, say_missing, style_method, write_corner)
from harc.results.front import find_front
from harc.results.tuning_points import (TuningPoint, locate_tuned, read_points, read_tuned)
from harc.results.vocabulary import name_backbone, name_method, sort_methods
from harc.core.artifacts import BASE
from harc.settings.analysis import AnalysisSettings


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """None of the run's own: the points come with the settings that were chosen from them."""
    return []


def list_tuning_inputs(points: Path) -> list[Path]:
    """The points, and what was chosen from them."""
    return [points, locate_tuned(points)]


def _draw_method(
    axes, method: str, points: Sequence[TuningPoint], base: TuningPoint, criterion: Mapping[str, float]
) -> None:
    colour, marker, _ = style_method(method)
    ordered = sorted(points, key=lambda point: (point.over_refusal.rate, point.asr.rate))
    axes.plot(
        [point.over_refusal.rate for point in ordered],
        [point.asr.rate for point in ordered],
        color=colour,
        linewidth=0.6,
        alpha=0.6,
        zorder=1,
    )
    for point in ordered:
        x, y = point.over_refusal, point.asr
        axes.errorbar(
            x.rate,
            y.rate,
            xerr=[[x.rate - x.low], [x.high - x.rate]],
            yerr=[[y.rate - y.low], [y.high - y.rate]],
            color=colour,
            linewidth=0.4,
            alpha=0.35,
            fmt="none",
            zorder=1,
        )
        lossy = point.loses(base) > criterion["benign_allowance"]
        axes.scatter(
            x.rate,
            y.rate,
            s=52 if point.chosen else 16,
            marker=marker,
            facecolors="none" if lossy else colour,
            edgecolors="black" if point.chosen else colour,
            linewidths=1.0 if point.chosen else 0.8,
            zorder=4 if point.chosen else 3,
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
    limit = base.over_refusal.rate + criterion["over_refusal_allowance"]
    axes.axvline(limit, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
    front = find_front({str(n): (p.over_refusal.rate, p.asr.rate) for n, p in enumerate(own)})
    kept = [own[int(number)] for number in front]
    axes.step(
        [point.over_refusal.rate for point in kept],
        [point.asr.rate for point in kept],
        where="post",
        color="black",
        linewidth=0.9,
        zorder=2,
    )
    seeds = len({point.seed for point in own})
    write_corner(
        axes,
        f"n = {base.asr.n} attacked, {base.over_refusal.n} safe prompts\n{seeds} seed{'s' if seeds > 1 else ''}",
    )


def _make_legend(methods: Sequence[str]) -> list[Line2D]:
    handles = []
    for method in methods:
        colour, marker, _ = style_method(method)
        handles.append(
            Line2D([], [], ls="", marker=marker, color=colour, markersize=4.5, label=name_method(method))
        )
    grey = {"ls": "", "marker": "o", "color": GREY}
    handles.append(Line2D([], [], **grey, markersize=7, markeredgecolor="black", label="chosen"))
    handles.append(Line2D([], [], **grey, markersize=4.5, fillstyle="none", label="loses benign answers"))
    handles.append(Line2D([], [], color="black", linewidth=0.9, label="Pareto front"))
    handles.append(Line2D([], [], color=GREY, linestyle=":", linewidth=0.8, label="allowance"))
    return handles


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
) -> None:
    """Draw the figure: a panel per backbone, every point with its intervals, the front of all points as steps."""
    points = read_points(settings.tuning_points)
    criterion = read_tuned(settings.tuning_points)["tuning"] if points else {}
    with open_figure(1, max(1, len(backbones)), 3.4, out_pdf, out_png, sharey=True) as (
        figure,
        panels,
        remarks,
    ):
        for axes, backbone in zip(panels[0], backbones, strict=False):
            _draw_panel(axes, backbone, points, criterion)
            axes.set_xlabel("mean over-refusal, development (lower is better)")
            axes.set_ylim(-0.03, 1.08)
            axes.set_xlim(left=-0.02)
        panels[0, 0].set_ylabel("mean attack success (lower is better)")
        shown = sort_methods(list(dict.fromkeys(point.method for point in points)))
        if shown:
            handles = _make_legend(shown)
            figure.legend(
                handles=handles, loc="outside upper center", ncols=5, columnspacing=1.2, handletextpad=0.3
            )
        else:
            remarks.append("tuning points, which this profile does not name")
