"""Figure 7: arms of the ablation beside HARC: attack success, over-refusal, coupling gain, with their intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harc.results.arms import Arm, measure_arms
from harc.results.evidence import ResultsView
from harc.results.figures.arm_panels import (LABELS, Value, find_value, list_missing, make_title)
from harc.results.figures.style import (add_legend, open_figure, say_missing, style_index)
from harc.results.geometry import list_direction_files
from harc.results.outcomes import list_outcome_files
from harc.results.vocabulary import name_backbone, name_method
from harc.core.artifacts import BASE
from harc.settings.analysis import AnalysisSettings

SPREAD = 0.34  # distance of the backbones' marks around a row, in rows


def select_units(profile: Any) -> list[list]:
    """Backbones, references and arms, and seeds of the profile's ablation."""
    scope = profile.scope_ablation()
    return [list(scope.backbones), scope.list_shown() if scope.arms else [], list(scope.seeds)]


def select_options(profile: Any) -> dict[str, Any]:
    """The method that arms are changed from."""
    return {"of": profile.ablation.of}


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: outcomes and directions of arms and references."""
    return [
        *list_outcome_files(results_root, backbones, methods, seeds),
        *list_direction_files(results_root, backbones, methods, seeds),
    ]


def _draw_arm(axes, place: float, point: Value, style: tuple, label: str, own: bool) -> None:
    value, low, high = point
    colour, marker, _ = style
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=colour, linewidth=0.9, solid_capstyle="butt", zorder=2)
    face = colour if own else "white"
    axes.plot(value, place, ls="", marker=marker, color=colour, markerfacecolor=face, label=label, zorder=3)


def _draw_panel(axes, panel: str, arms: dict[str, list[Arm]], of: str, settings: AnalysisSettings) -> None:
    """Draw one quantity for every backbone."""
    for index, (backbone, held) in enumerate(arms.items()):
        style = style_index(index)
        shift = SPREAD * (index - (len(arms) - 1) / 2)
        for row, arm in enumerate(held):
            point = find_value(arm, panel, settings.confidence)
            if point is None:
                continue
            _draw_arm(axes, row + shift, point, style, name_backbone(backbone), arm.name == of)
            if arm.name == of:
                axes.axvline(point[0], color=style[0], linewidth=0.7, linestyle=style[2], alpha=0.7, zorder=1)
    axes.axvline(0, color="0.6", linewidth=0.6, zorder=0)


def _mark_groups(axes, names: Sequence[str], references: int) -> None:
    """Thin lines between references, arms and single faults of the release."""
    faults = next((i for i, name in enumerate(names) if name.startswith("released_")), len(names))
    for place in {references, faults} - {0, len(names)}:
        axes.axhline(place - 0.5, color="0.8", linewidth=0.6, zorder=0)


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
    of: str = "harc",
) -> None:
    """Draw the figure: a row per arm, a mark per backbone, the method's own values as vertical lines."""
    view = ResultsView(results_root, backbones, seeds, settings.confidence)
    arms = {backbone: measure_arms(view, backbone, methods, of) for backbone in backbones if methods}
    shape = (1, len(LABELS), max(0.21 * len(methods) + 1.1, 2.0))
    with open_figure(*shape, out_pdf, out_png, sharey=True) as (figure, panels, remarks):
        every = [arm for held in arms.values() for arm in held]
        for axes, panel in zip(panels[0], LABELS, strict=True):
            if not every:
                say_missing(axes, "arms of an ablation")
                continue
            _draw_panel(axes, panel, arms, of, settings)
            axes.set_title(make_title(panel, every, seeds))
            references = sum(name in (BASE, "no_coupling", of) for name in methods)
            _mark_groups(axes, methods, references)
        if not every:
            remarks.append("arms, which this profile does not run")
            return
        first = panels[0, 0]
        first.set_yticks(range(len(methods)), [name_method(name) for name in methods])
        first.set_ylim(len(methods) - 0.5, -0.5)
        add_legend(figure, panels, map(name_backbone, backbones), 4)
        remarks.extend(list_missing(arms, settings.confidence))
