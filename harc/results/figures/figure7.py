"""Figure 7: arms of the ablation beside HARC: attack success, over-refusal, coupling gain, with their intervals."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harc.core.artifacts import BASE
from harc.results.comparisons import Arm, measure_arms
from harc.results.figures.arm_panels import LABELS, Value, find_value, list_missing, make_title
from harc.results.figures.style import Canvas, open_canvas, say_missing, style_index
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method

SPREAD = 0.34  # distance of the backbones' marks around a row, in rows


def select_units(profile: Any) -> list[list]:
    """Backbones, references and arms, and seeds of the profile's ablation."""
    scope = profile.scope_ablation()
    return [list(scope.backbones), scope.list_shown() if scope.arms else [], list(scope.seeds)]


def select_options(profile: Any) -> dict[str, Any]:
    """The method that arms are changed from."""
    return {"of": profile.ablation.of}


def list_inputs(view: Results) -> list[Path]:
    """Outcomes and directions of arms and references."""
    return [path for kind in ("scores", "directions") for path in view.list_files(kind, view.methods)]


def _draw_arm(axes, place: float, point: Value, style: tuple, label: str, own: bool) -> None:
    value, low, high = point
    colour, marker, _ = style
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=colour, linewidth=0.9, solid_capstyle="butt", zorder=2)
    face = colour if own else "white"
    axes.plot(value, place, ls="", marker=marker, color=colour, markerfacecolor=face, label=label, zorder=3)


def _draw_panel(axes, panel: str, arms: dict[str, list[Arm]], of: str, confidence: float) -> None:
    """Draw one quantity for every backbone."""
    for index, (backbone, held) in enumerate(arms.items()):
        style = style_index(index)
        shift = SPREAD * (index - (len(arms) - 1) / 2)
        for row, arm in enumerate(held):
            point = find_value(arm, panel, confidence)
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


def draw(view: Results) -> Canvas:
    """Draw the figure: a row per arm, a mark per backbone, the method's own values as vertical lines."""
    methods, of = view.methods, view.options.get("of", "harc")
    arms = {backbone: measure_arms(view, backbone, methods, of) for backbone in view.backbones if methods}
    canvas = open_canvas(1, len(LABELS), max(0.21 * len(methods) + 1.1, 2.0), sharey=True)
    every = [arm for held in arms.values() for arm in held]
    for axes, panel in zip(canvas.panels[0], LABELS, strict=True):
        if not every:
            say_missing(axes, "arms of an ablation")
            continue
        _draw_panel(axes, panel, arms, of, view.confidence)
        axes.set_title(make_title(panel, every, view.seeds, view.mean_attacks))
        references = sum(name in (BASE, "no_coupling", of) for name in methods)
        _mark_groups(axes, methods, references)
    if not every:
        canvas.remarks.append("arms, which this profile does not run")
        return canvas
    first = canvas.panels[0, 0]
    first.set_yticks(range(len(methods)), [name_method(name) for name in methods])
    first.set_ylim(len(methods) - 0.5, -0.5)
    canvas.add_legend(map(name_backbone, view.backbones), 4)
    canvas.remarks += list_missing(arms, view.confidence)
    return canvas
