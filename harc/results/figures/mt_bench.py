"""MT-Bench by category: the mean grade of both turns, a panel per backbone, a line per method."""

from collections.abc import Sequence
from pathlib import Path

from harc.results.figures.style import (add_legend, create_figure, note_missing, save_figure, say_missing, style_method)
from harc.results.helpfulness import read_categories
from harc.results.tables.layout import read_number
from harc.results.vocabulary import name_backbone, name_method, sort_methods
from harc.core.artifacts import Layout
from harc.settings.analysis import AnalysisSettings
from harc.suites.benchmarks import CATEGORIES

ORDER = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
BOTH = "both"
SHIFT = 0.11  # distance between the methods' marks, in categories


def list_inputs(
    results_root: Path, backbones: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> list[Path]:
    """Files that the figure reads: grades by category, first seed only."""
    layout = Layout(results_root)
    return [layout.helpfulness(b, m, seeds[0]) / CATEGORIES for b in backbones for m in methods]


def read_grades(
    results_root: Path, backbone: str, method: str, seed: int
) -> dict[str, tuple[float, float, float, int, int]]:
    """(mean, low, high, grades, judgements that could not be read) by category, over both turns."""
    found = {}
    for row in read_categories(results_root, backbone, method, seed):
        values = [read_number(row, name) for name in ("mean", "ci_low", "ci_high")]
        if row["turn"] == BOTH and values[0] is not None:
            low, high = (values[0] if value is None else value for value in values[1:])
            found[row["category"]] = (values[0], low, high, int(row["n"]), int(row["unjudged"] or 0))
    return found


def _draw_method(axes, method: str, grades: dict, shift: float) -> None:
    colour, marker, line = style_method(method)
    shown = [(place, grades[name]) for place, name in enumerate(ORDER) if name in grades]
    places = [place + shift for place, _ in shown]
    means = [values[0] for _, values in shown]
    errors = [[values[0] - values[1] for _, values in shown], [values[2] - values[0] for _, values in shown]]
    axes.errorbar(places, means, yerr=errors, fmt="none", color=colour, linewidth=0.6, zorder=2)
    axes.plot(
        places, means, color=colour, marker=marker, linestyle=line, linewidth=0.7, label=name_method(method)
    )


def _draw_panel(axes, backbone: str, grades: dict[str, dict]) -> None:
    axes.set_title(name_backbone(backbone))
    if not grades:
        say_missing(axes, "MT-Bench grades")
        return
    for number, (method, own) in enumerate(grades.items()):
        _draw_method(axes, method, own, SHIFT * (number - (len(grades) - 1) / 2))
    counts = sorted({values[3] for own in grades.values() for values in own.values()})
    unread = sum(values[4] for own in grades.values() for values in own.values())
    note = f"n = {' to '.join(map(str, counts[:1] + counts[1:][-1:]))} grades"
    axes.text(
        0.02, 0.02, note + (f", {unread} unreadable" if unread else ""), transform=axes.transAxes, fontsize=6.5
    )  # fmt: skip
    axes.set_xticks(range(len(ORDER)), ORDER, rotation=30, ha="right")
    axes.set_ylim(0.7, 10.3)
    axes.set_yticks([1, 4, 7, 10])


def plot(
    results_root: Path,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    out_pdf: Path,
    out_png: Path,
) -> None:
    """Draw the figure: mean grades with 95% intervals whose questions are clusters."""
    ordered = sort_methods(list(methods))
    figure, panels = create_figure(max(1, len(backbones)), 1, 0.6 + 2.0 * max(1, len(backbones)), sharex=True)
    absent = []
    for axes, backbone in zip(panels[:, 0], backbones, strict=False):
        held = {method: read_grades(results_root, backbone, method, seeds[0]) for method in ordered}
        absent += [
            f"{name_method(m)} on {name_backbone(backbone)}"
            for m, own in held.items()
            if not own and any(held.values())
        ]
        _draw_panel(axes, backbone, {method: own for method, own in held.items() if own})
        axes.set_ylabel("mean grade (1 to 10)")
    add_legend(figure, panels, [name_method(method) for method in ordered], 5)
    note_missing(figure, absent)
    save_figure(figure, out_pdf, out_png)
