"""Figure 8: attack success and over-refusal after fine-tuning on more and more harmful answers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.results.figures.style import (add_legend, open_figure, say_missing, style_method)
from harc.results.finetuning import (ByExamples, Point, list_finetuning_files, read_finetuning, trace_rates)
from harc.results.vocabulary import (OVER_REFUSAL, name_backbone, name_method, name_suite, sort_methods)
from harc.settings.analysis import AnalysisSettings

PUBLISHED = 160  # examples after which HARC is back at the base (arXiv 2607.00572, appendix, from a summary)
SHIFT = 0.06  # distance between the methods' marks, in doublings


def select_units(profile: Any) -> list[list]:
    """Backbones, methods and seeds that the profile fine-tunes."""
    own = profile.finetuning
    return [list(profile.backbones), list(own.methods), [seed for seed in profile.seeds if seed in own.seeds]]


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: what models answer after fine-tuning, first seed only."""
    return list_finetuning_files(results_root, backbones, methods, seeds[:1])


def place_examples(examples: int, smallest: int) -> float:
    """Place on the axis: 0, then one for the smallest number and one more for each doubling."""
    return 0.0 if examples == 0 else 1.0 + math.log2(examples / smallest)


def _draw_method(axes, method: str, points: Sequence[Point], smallest: int, shift: float) -> None:
    colour, marker, line = style_method(method)
    places = [place_examples(point.examples, smallest) + shift for point in points]
    rates = [point.rate for point in points]
    errors = [[p.rate - p.low for p in points], [p.high - p.rate for p in points]]
    axes.errorbar(places, rates, yerr=errors, fmt="none", color=colour, linewidth=0.7, zorder=2)
    axes.plot(places, rates, color=colour, marker=marker, linestyle=line, label=name_method(method), zorder=3)


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
        _draw_method(axes, method, points, smallest, SHIFT * (number - (len(traced) - 1) / 2))
    prompts = sorted({point.n for points in traced.values() for point in points})
    what = "over-refusal" if suite in OVER_REFUSAL else "attack success"
    axes.set_title(
        f"{name_suite(suite)}: {what}\n(n = {' to '.join(map(str, prompts[:1] + prompts[1:][-1:]))})"
    )
    _mark_axis(axes, counts, smallest)


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
) -> None:
    """Draw the figure: a row per backbone, a column per suite, a line per method with Wilson intervals."""
    held = {
        backbone: {
            m: found for m in methods if (found := read_finetuning(results_root, backbone, m, seeds[0]))
        }
        for backbone in backbones
        if seeds
    }
    suites = list(
        dict.fromkeys(
            o.suite for own in held.values() for found in own.values() for o in next(iter(found.values()))
        )
    )
    rows, columns = max(1, len(backbones)), max(1, len(suites))
    with open_figure(rows, columns, 1.75 * rows + 0.6, out_pdf, out_png, sharey=True) as (
        figure,
        panels,
        remarks,
    ):
        for row, backbone in zip(panels, backbones, strict=False):
            own = held.get(backbone, {})
            remarks += [f"{name_method(m)} on {name_backbone(backbone)}" for m in methods if m not in own]
            row[0].set_ylabel(f"{name_backbone(backbone)}\nrate")
            for axes, suite in zip(row, suites, strict=False):
                if own:
                    _draw_panel(axes, own, suite, settings.confidence)
                else:
                    say_missing(axes, "fine-tunings of any method")
        if not suites:
            remarks.append("fine-tunings of any method")
            for axes in panels.flat:
                say_missing(axes, "fine-tunings of any method")
        for axes in panels[-1]:
            axes.set_xlabel("harmful examples")
        add_legend(figure, panels, [name_method(method) for method in sort_methods(list(methods))], 6)
