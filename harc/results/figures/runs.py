"""Figure runs: a dot a training seed, methods side by side; attacks, over-refusal, suppression, broken answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harc.core.artifacts import BASE
from harc.results.figures.style import (
    Canvas,
    count_range,
    label_attacks,
    open_canvas,
    say_missing,
    style_method,
)
from harc.results.outcomes import select_suites
from harc.results.suppression import select_condition
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method, sort_methods

OWN = "own"  # condition of suppression: the model's own direction, at the depth that hurts it most
HEADS = {
    "mean_asr": "attacks answered",
    "mean_over_refusal": "safe requests refused",
    OWN: "harmful requests refused,\nown direction taken out",
    "garbled": "broken answers to attacks",
}
WIDTH = 24  # characters of a line above a panel
Measured = tuple[float, int]  # share, prompts


def select_units(profile: Any) -> list[list]:
    """Backbones, methods with the arms that have the seeds of the main comparison, and seeds."""
    arms = [arm for arm in profile.ablation.arms if len(profile.find_seeds(arm)) == len(profile.seeds)]
    return [list(profile.backbones), [BASE, *profile.methods, *arms], list(profile.seeds)]


def select_options(profile: Any) -> dict[str, list]:
    """Methods and seeds that the profile suppresses; none, and it has no such panel."""
    own = profile.suppression
    return {
        "suppressed": [] if own is None else list(own.methods),
        "seeds": [] if own is None else list(own.seeds or profile.seeds),
    }


def list_quantities(view: Results) -> list[str]:
    """The panels."""
    return [name for name in HEADS if name != OWN or view.options["suppressed"]]


def list_inputs(view: Results) -> list[Path]:
    """Every model's outcomes, and what those that are suppressed answer then."""
    suppressed = [method for method in view.methods if method in view.options["suppressed"]]
    held = view.list_files("suppression", suppressed, view.options["seeds"])
    return view.list_files("scores", view.methods) + [path for path in held if path.name == "outcomes.csv"]


def measure_rate(outcomes: pd.DataFrame, suites: tuple[str, ...]) -> Measured | None:
    """The mean over suites of the rate in each, of what was judged; None where a suite is missing."""
    judged = select_suites(outcomes, suites)
    rates = judged.groupby("suite")["hit"].mean()
    return (float(rates.mean()), len(judged)) if set(rates.index) == set(suites) else None


def measure_garbled(outcomes: pd.DataFrame, suites: tuple[str, ...]) -> Measured | None:
    """The share of broken answers among all to some suites; None where there are none."""
    found = outcomes[outcomes["suite"].isin(suites)]
    return (float(found["garbled"].mean()), len(found)) if len(found) else None


def measure_kept(answers: pd.DataFrame) -> Measured | None:
    """The share of harmful requests refused without the model's own direction; None where it was not taken out."""
    hits = select_condition(answers, OWN)["hit"].dropna()
    return (float(hits.mean()), len(hits)) if len(hits) else None


def measure_runs(view: Results, backbone: str, method: str, quantity: str) -> dict[int, Measured]:
    """A quantity of a method by training seed."""
    if quantity == OWN:
        found = {seed: measure_kept(frame) for seed, frame in view.suppressions(backbone, method).items()}
    else:
        measure = measure_garbled if quantity == "garbled" else measure_rate
        suites = view.list_suites("mean_asr" if quantity == "garbled" else quantity)
        found = {seed: measure(frame, suites) for seed, frame in view.outcomes(backbone, method).items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _draw_panel(axes, held: Mapping[str, Mapping[int, Measured]]) -> list[int]:
    """A line of dots a method, and a bar at their mean; returns the numbers of prompts."""
    numbers = []
    for place, (method, by_seed) in enumerate(held.items()):
        shares = [share for share, _ in by_seed.values()]
        numbers += [count for _, count in by_seed.values()]
        if not shares:
            continue
        colour, marker, _ = style_method(method)
        # Dots of equal value lie beside each other.
        offsets = np.linspace(-0.22, 0.22, len(shares)) if len(shares) > 1 else [0.0]
        axes.scatter(shares, place + np.asarray(offsets), color=colour, marker=marker, s=13, zorder=3)
        axes.vlines(float(np.mean(shares)), place - 0.36, place + 0.36, color=colour, linewidth=1.0, zorder=2)
    axes.set_ylim(len(held) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    return numbers


def _head_panel(view: Results, quantity: str, numbers: list[int]) -> str:
    head = HEADS[quantity]
    if quantity == "mean_asr":
        head = label_attacks(head, view.mean_attacks, WIDTH)
    return f"{head}\n({count_range(numbers)} a run)" if numbers else head


def draw(view: Results) -> Canvas:
    """Draw the figure: a row per backbone, a panel per quantity, methods down."""
    methods, quantities = sort_methods(list(view.methods)), list_quantities(view)
    rows = max(1, len(view.backbones))
    height = (0.19 * len(methods) + 0.75) * rows + 0.15
    canvas = open_canvas(rows, len(quantities), height, sharey="row")
    for panels, backbone in zip(canvas.panels, view.backbones, strict=False):
        for axes, quantity in zip(panels, quantities, strict=True):
            held = {method: measure_runs(view, backbone, method, quantity) for method in methods}
            numbers = _draw_panel(axes, held)
            axes.set_title(_head_panel(view, quantity, numbers))
            if not numbers:
                say_missing(axes, "such answers")
            elif lacking := [name_method(method) for method, found in held.items() if not found]:
                what = HEADS[quantity].splitlines()[0]
                canvas.remarks.append(f"{what}: {', '.join(lacking)} on {name_backbone(backbone)}")
        panels[0].set_yticks(range(len(methods)), [name_method(method) for method in methods])
        panels[0].set_ylabel(name_backbone(backbone))
    return canvas
