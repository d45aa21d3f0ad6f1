"""Figure 8: attack success and over-refusal after fine-tuning on more and more harmful answers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.results.figures.style import Canvas, count_range, draw_series, open_canvas, say_missing
from harc.results.outcomes import ByExamples, read_finetuning
from harc.results.rates import trace_rates
from harc.results.view import Results
from harc.results.vocabulary import OVER_REFUSAL, name_backbone, name_method, name_suite, sort_methods

PUBLISHED = 160  # examples after which HARC is back at the base (arXiv 2607.00572, appendix, from a summary)
SHIFT = 0.06  # distance between the methods' marks, in doublings


def select_units(profile: Any) -> list[list]:
    """Backbones, methods and seeds that the profile fine-tunes."""
    own = profile.finetuning
    return [list(profile.backbones), list(own.methods), [seed for seed in profile.seeds if seed in own.seeds]]


def list_inputs(view: Results) -> list[Path]:
    """What models answer after fine-tuning, first seed only."""
    return view.list_files("finetuning", view.methods, view.seeds[:1])


def place_examples(examples: int, smallest: int) -> float:
    """Place on the axis: 0, then one for the smallest number and one more for each doubling."""
    return 0.0 if examples == 0 else 1.0 + math.log2(examples / smallest)


def _mark_axis(axes, counts: Sequence[int], smallest: int) -> None:
    """Numbers of examples as ticks, and the published number at which HARC is said to be undone."""
    axes.set_xticks([place_examples(count, smallest) for count in counts], [str(count) for count in counts])
    axes.set_ylim(-0.04, 1.04)
    if min(counts) < PUBLISHED <= max(counts):
        axes.axvline(place_examples(PUBLISHED, smallest), color="0.6", linewidth=0.7, linestyle=":", zorder=1)


def _draw_panel(axes, answers: Mapping[str, ByExamples], suite: str, confidence: float) -> None:
    traced = {method: trace_rates(held, suite, confidence) for method, held in answers.items()}
    counts = sorted({point.examples for points in traced.values() for point in points})
    smallest = min((count for count in counts if count), default=1)
    for number, (method, points) in enumerate(traced.items()):
        shift = SHIFT * (number - (len(traced) - 1) / 2)
        places = [place_examples(point.examples, smallest) + shift for point in points]
        draw_series(axes, places, [(p.rate, p.low, p.high) for p in points], method, bar=0.7, zorder=3)
    prompts = count_range(point.n for points in traced.values() for point in points)
    what = "over-refusal" if suite in OVER_REFUSAL else "attack success"
    axes.set_title(f"{name_suite(suite)}: {what}\n({prompts})")
    _mark_axis(axes, counts, smallest)


def draw(view: Results) -> Canvas:
    """Draw the figure: a row per backbone, a column per suite, a line per method with Wilson intervals."""
    held: dict[str, dict[str, ByExamples]] = {}
    for backbone in view.backbones if view.seeds else ():
        read = {
            method: read_finetuning(view.root, backbone, method, view.seeds[0]) for method in view.methods
        }
        held[backbone] = {method: found for method, found in read.items() if found}
    first = [next(iter(found.values())) for own in held.values() for found in own.values()]
    suites = list(dict.fromkeys(suite for outcomes in first for suite in outcomes["suite"]))
    rows = max(1, len(view.backbones))
    canvas = open_canvas(rows, len(suites), 1.75 * rows + 0.6, sharey=True)
    for row, backbone in zip(canvas.panels, view.backbones, strict=False):
        own, name = held.get(backbone, {}), name_backbone(backbone)
        canvas.remarks += [f"{name_method(m)} on {name}" for m in view.methods if m not in own]
        row[0].set_ylabel(f"{name}\nrate")
        for axes, suite in zip(row, suites, strict=False):
            if own:
                _draw_panel(axes, own, suite, view.confidence)
            else:
                say_missing(axes, "fine-tunings of any method")
    if not suites:
        canvas.remarks.append("fine-tunings of any method")
        for axes in canvas.panels.flat:
            say_missing(axes, "fine-tunings of any method")
    for axes in canvas.panels[-1]:
        axes.set_xlabel("harmful examples")
    canvas.add_legend([name_method(method) for method in sort_methods(list(view.methods))], 6)
    return canvas
