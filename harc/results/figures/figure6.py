"""Figure 6: the terms of the loss while training, per method and backbone."""

from collections.abc import Sequence
from pathlib import Path

from harc.results.figures.style import (add_legend, open_figure, say_missing, style_method)
from harc.results.training_logs import (TERMS, list_log_files, read_logs, read_term)
from harc.results.vocabulary import name_backbone, name_method, sort_methods
from harc.core.artifacts import BASE
from harc.settings.analysis import AnalysisSettings


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: every adapter's training log."""
    return list_log_files(results_root, backbones, methods, seeds)


def _draw_method(axes, method: str, logs: dict[int, list[dict]], term: str) -> bool:
    """One line per seed, the first with the label; says whether there was anything to draw."""
    colour, marker, line = style_method(method)
    drawn = False
    for rows in logs.values():
        steps, values = read_term(rows, term)
        if not steps:
            continue
        axes.plot(
            steps,
            values,
            color=colour,
            linestyle=line,
            marker=marker,
            markevery=max(1, len(steps) // 6),
            alpha=0.6 if drawn else 1.0,
            label=None if drawn else name_method(method),
        )
        drawn = True
    return drawn


def _draw_row(row, logs: dict[str, dict[int, list[dict]]]) -> None:
    """One backbone: a panel per term."""
    for axes, (term, label) in zip(row, TERMS.items(), strict=True):
        drawn = [_draw_method(axes, method, held, term) for method, held in logs.items()]
        if not any(drawn):
            say_missing(axes, label)
        else:
            axes.set_ylim(0, axes.get_ylim()[1] * 1.05)
        axes.tick_params(axis="y", labelsize=6.5)


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
) -> None:
    """Draw the figure: a row per backbone, a column per term, one line per method and seed."""
    trained = sort_methods([method for method in methods if method != BASE])
    rows, height = max(1, len(backbones)), 1.7 * len(backbones) + 0.7
    with open_figure(rows, len(TERMS), height, out_pdf, out_png, sharex=True) as (figure, panels, remarks):
        for row, backbone in zip(panels, backbones, strict=False):
            logs = {method: read_logs(results_root, backbone, method, seeds) for method in trained}
            absent = [name_method(method) for method, held in logs.items() if not held]
            remarks.extend(f"{name} on {name_backbone(backbone)}" for name in absent)
            count = max((len(held) for held in logs.values()), default=0)
            _draw_row(row, logs)
            row[0].set_ylabel(f"{name_backbone(backbone)}\n{count} seed{'s' if count != 1 else ''}")
        for axes, label in zip(panels[0], TERMS.values(), strict=True):
            axes.set_title(label.replace(", ", ",\n").replace(" on ", "\non "), fontsize=7.5)
        for axes in panels[-1]:
            axes.set_xlabel("step")
        add_legend(figure, panels, map(name_method, trained), 6)
