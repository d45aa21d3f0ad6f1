"""Figure 5: attack success against over-refusal, with helpfulness as the size of the marker."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.lines import Line2D

from harc.results.figures.style import (open_figure, say_missing, style_method, write_corner)
from harc.results.front import find_front
from harc.results.outcomes import list_outcome_files, read_by_seed
from harc.results.rates import Rate, estimate_rate
from harc.results.vocabulary import (include_base, name_backbone, name_method, sort_methods)
from harc.settings.analysis import AnalysisSettings

METRICS = ("mean_asr", "mean_over_refusal", "mean_helpfulness")
SMALLEST, LARGEST = 8.0, 90.0  # marker areas at helpfulness 0 and 1, square points


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: every model's outcomes."""
    return list_outcome_files(results_root, backbones, include_base(methods), seeds)


def marker_area(helpfulness: float) -> float:
    """Area of a marker in square points."""
    return SMALLEST + (LARGEST - SMALLEST) * helpfulness


def _draw_method(axes, method: str, rates: dict[str, Rate]) -> None:
    colour, marker, _ = style_method(method)
    refusal, attack = rates["mean_over_refusal"], rates["mean_asr"]
    axes.errorbar(
        refusal.estimate,
        attack.estimate,
        xerr=[[max(0.0, refusal.estimate - refusal.low)], [max(0.0, refusal.high - refusal.estimate)]],
        yerr=[[max(0.0, attack.estimate - attack.low)], [max(0.0, attack.high - attack.estimate)]],
        color=colour,
        linewidth=0.7,
        fmt="none",
        zorder=2,
    )
    size = marker_area(rates["mean_helpfulness"].estimate)
    axes.scatter(
        refusal.estimate,
        attack.estimate,
        s=size,
        marker=marker,
        color=colour,
        edgecolors="black",
        linewidths=0.4,
        label=name_method(method),
        zorder=3,
    )


def _draw_panel(axes, results_root, backbone, methods, seeds, settings) -> tuple[list[str], list[str]]:
    """Draw one backbone; returns the methods drawn and what is missing."""
    points, remarks, sizes = {}, [], set()
    for method in methods:
        by_seed = read_by_seed(results_root, backbone, method, seeds)
        rates = {metric: estimate_rate(by_seed, metric, settings.confidence) for metric in METRICS}
        if None in rates.values():
            remarks.append(f"{name_method(method)} on {name_backbone(backbone)}")
            continue
        _draw_method(axes, method, rates)
        points[method] = (rates["mean_over_refusal"].estimate, rates["mean_asr"].estimate)
        sizes.add((rates["mean_asr"].n, rates["mean_over_refusal"].n, rates["mean_asr"].seeds))
    front = find_front(points)
    axes.plot(
        *zip(*(points[name] for name in front), strict=True) if front else ([], []),
        color="0.6",
        linewidth=0.8,
    )
    axes.set_title(name_backbone(backbone))
    if not points:
        say_missing(axes, "scores of any method")
        return [], remarks
    attacks, refusals, count = max(sizes)
    write_corner(
        axes, f"n = {attacks} attacked, {refusals} safe prompts\n{count} seed{'s' if count > 1 else ''}"
    )
    return list(points), remarks


def _make_legend(methods: Sequence[str]) -> list[Line2D]:
    """A mark of one size per method, and what two sizes mean."""
    handles = []
    for method in methods:
        colour, marker, _ = style_method(method)
        handles.append(
            Line2D([], [], ls="", marker=marker, color=colour, markersize=5, label=name_method(method))
        )
    for level in (0.5, 1.0):
        size = marker_area(level) ** 0.5
        label = f"helpfulness {level:g}"
        handles.append(Line2D([], [], ls="", marker="o", color="0.75", markersize=size, label=label))
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
    """Draw the figure: a panel per backbone, intervals on both axes, a line through undominated methods."""
    drawn: list[str] = []
    with open_figure(1, max(1, len(backbones)), 3.0, out_pdf, out_png, sharey=True) as (
        figure,
        panels,
        remarks,
    ):
        for axes, backbone in zip(panels[0], backbones, strict=False):
            shown, missing = _draw_panel(axes, results_root, backbone, include_base(methods), seeds, settings)
            drawn += shown
            remarks.extend(missing)
            axes.set_xlabel("mean over-refusal (lower is better)")
            axes.set_ylim(-0.03, 1.1)
            axes.set_xlim(left=-0.02)
        panels[0, 0].set_ylabel("mean attack success (lower is better)")
        handles = _make_legend(sort_methods(drawn))
        figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=min(7, len(handles)),
            columnspacing=1.2,
            handletextpad=0.3,
        )
