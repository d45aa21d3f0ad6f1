"""Figure suppression: refusal kept against where a direction is read, how many go at once, and how many in rounds."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harc.results.figures.style import GREY, Canvas, count_range, open_canvas, say_missing, style_line
from harc.results.suppression import estimate_kept, select_condition, select_round
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method, sort_methods
from harc.settings.suppression import CONTROL, Condition, SuppressionSettings
from harc.stats.rates import Rate

RANDOM = "random directions, all methods"
HEADS = {
    "depths": "own direction, by depth",
    "spans": "own directions at once",
    "rounds": "own directions in turn",
}
LABELS = {"depths": "depth read at", "spans": "directions out", "rounds": "directions out"}
BySeed = Mapping[int, pd.DataFrame]


def _is_plain(condition: Condition, of: str) -> bool:
    """Whether a condition projects v_ref, or as many random directions, out everywhere and whole."""
    return (condition.directions, condition.of, condition.how, condition.where, condition.strength) == (
        ("v_ref",), of, "project", "all", 1.0,
    )  # fmt: skip


def select_units(profile: Any) -> list[list]:
    """Backbones, methods and arms, and seeds that the profile suppresses."""
    own = profile.suppression or SuppressionSettings()
    return [list(profile.backbones), list(own.methods), list(own.seeds or profile.seeds)]


def select_options(profile: Any) -> dict[str, dict]:
    """Conditions by panel, with their place on its axis; and the most rounds."""
    settings = profile.suppression or SuppressionSettings()
    own = {name: c for name, c in settings.conditions.items() if _is_plain(c, "own")}
    return {
        "depths": {name: c.depth for name, c in own.items() if c.depth is not None and c.slots == 1},
        "spans": {CONTROL: 0, **{name: c.slots for name, c in own.items() if c.depth is None}},
        "random": {
            name: c.slots
            for name, c in settings.conditions.items()
            if _is_plain(c, "random") and c.depth is None
        },
        "rounds": {str(number): number for number in range(settings.rounds.most + 1)},
    }


def list_inputs(view: Results) -> list[Path]:
    """What models answer under suppression."""
    return [path for path in view.list_files("suppression", view.methods) if path.name == "outcomes.csv"]


def place_count(count: float) -> float:
    """Place of a number of directions: 0, then one for the first and one more for each doubling."""
    return 0.0 if count == 0 else 1.0 + math.log2(count)


def _trace(
    by_seed: Mapping[Any, pd.DataFrame],
    options: Mapping[str, float],
    select: Callable[[pd.DataFrame, Any], pd.DataFrame],
    confidence: float,
) -> list[tuple[float, Rate]]:
    """(place in the options' terms, rate) of every condition that was asked, ascending."""
    found = []
    for name, place in sorted(options.items(), key=lambda item: item[1]):
        rate = estimate_kept([select(frame, name) for frame in by_seed.values()], confidence)
        if rate is not None:
            found.append((place, rate))
    return found


def _draw_line(axes, points: list[tuple[float, Rate]], place: Callable[[float], float], **style: Any) -> None:
    places = [place(at) for at, _ in points]
    axes.plot(places, [rate.estimate for _, rate in points], **style)
    axes.fill_between(
        places,
        [r.low for _, r in points],
        [r.high for _, r in points],
        color=style["color"],
        alpha=0.15,
        lw=0,
    )


def _draw_panel(axes, kind: str, held: Mapping[str, BySeed], view: Results) -> None:
    """One panel: a line a method; random directions of the same number in grey."""
    options, confidence = view.options[kind], view.confidence
    place: Callable[[float], float] = float if kind == "depths" else place_count
    numbers = []
    for method, by_seed in held.items():
        if kind == "rounds":
            points = _trace(by_seed, options, lambda frame, name: select_round(frame, int(name)), confidence)
        else:
            points = _trace(by_seed, options, select_condition, confidence)
        numbers += [rate.n for _, rate in points]
        if points:
            _draw_line(axes, points, place, **style_line(method))
    if kind == "spans":
        every = {(method, seed): frame for method, own in held.items() for seed, frame in own.items()}
        points = _trace(every, {CONTROL: 0, **view.options["random"]}, select_condition, confidence)
        if points:
            style = {"color": GREY, "linestyle": ":", "marker": "x", "label": RANDOM}
            _draw_line(axes, points, place, **style)
    if kind != "depths":
        shown = sorted(set(options.values()))
        axes.set_xticks([place(value) for value in shown], [str(value) for value in shown])
    axes.set_xlabel(LABELS[kind])
    axes.set_ylim(-0.04, 1.04)
    axes.set_title(f"{HEADS[kind]}\n({count_range(numbers)})" if numbers else HEADS[kind])
    if not numbers:
        say_missing(axes, "such a suppression")


def draw(view: Results) -> Canvas:
    """Draw the figure: a row per backbone, a line per method with its band."""
    rows = max(1, len(view.backbones))
    canvas = open_canvas(rows, len(HEADS), 1.9 * rows + 0.6, sharey=True)
    for panels, backbone in zip(canvas.panels, view.backbones, strict=False):
        held = {method: view.suppressions(backbone, method) for method in sort_methods(list(view.methods))}
        name = name_backbone(backbone)
        canvas.remarks += [f"{name_method(method)} on {name}" for method, own in held.items() if not own]
        panels[0].set_ylabel(f"{name}\nrefusal kept")
        for axes, kind in zip(panels, HEADS, strict=True):
            _draw_panel(axes, kind, {method: own for method, own in held.items() if own}, view)
    canvas.add_legend([*map(name_method, sort_methods(list(view.methods))), RANDOM], 4)
    return canvas
