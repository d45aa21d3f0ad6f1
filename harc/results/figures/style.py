"""The one look of every figure: the paper's font and width, safe colours, shapes that read in grey.

Colours are those of Okabe and Ito (2008); every colour comes with its own marker and line style, so that a
figure printed in grey still reads. Files carry no dates and no program names: equal results give equal bytes.
"""

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harc.core.files import write_bytes
from harc.results.vocabulary import name_attacks, name_method
from harc.settings.methods import list_looks

TEXT_WIDTH = 6.5  # inches, the paper's text width
DOTS_PER_INCH = 200
GREY = "0.45"
NOTE_WIDTH = 140  # characters of a line under a figure
LABEL_WIDTH = 44  # characters of a line beside an axis
RC = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "pdf.compression": 9,
    "svg.hashsalt": "harc",
    "axes.unicode_minus": True,
}
Interval = tuple[float, float, float]  # a value, and the bounds of its interval
CYCLE = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"))


def style_method(method: str) -> tuple[str, str, object]:
    """Colour, marker and line style of a method; methods without one of their own share a grey."""
    look = list_looks().get(method)
    return (look and look.style) or (GREY, "h", (0, (6, 2)))


def style_index(index: int) -> tuple[str, str, object]:
    """Colour, marker and line style of the index-th series."""
    return CYCLE[index % len(CYCLE)]


def style_line(method: str) -> dict[str, Any]:
    """Style and label of a method's line."""
    colour, marker, line = style_method(method)
    return {"color": colour, "marker": marker, "linestyle": line, "label": name_method(method)}


@dataclass
class Canvas:
    """A figure being drawn.

    Attributes:
        figure, panels: matplotlib's figure, and its (rows, columns) array of axes.
        remarks: what is left out, named under the figure, so that nothing is missing silently.
    """

    figure: Figure
    panels: np.ndarray
    remarks: list[str] = field(default_factory=list)

    def add_legend(self, order: Iterable[str], columns: int) -> None:
        """One legend above all panels: every label once, in the given order."""
        found: dict = {}
        for axes in self.panels.flat:
            handles, labels = axes.get_legend_handles_labels()
            found |= dict(zip(labels, handles, strict=True))
        labels = sorted(found, key=list(order).index)
        if labels:
            handles = [found[label] for label in labels]
            self.figure.legend(handles, labels, loc="outside upper center", ncols=min(columns, len(labels)))

    def hide(self, first: int) -> None:
        """Hide the panels from a number on, row by row."""
        for axes in self.panels.flat[first:]:
            axes.set_visible(False)


def open_canvas(rows: int, columns: int, height: float, **options: Any) -> Canvas:
    """A figure of the paper's text width.

    Args:
        rows, columns: panels down and across; at least one of each is made.
        height: inches.
        options: for `Figure.subplots` (sharex, sharey, width_ratios ...).
    """
    matplotlib.rcParams.update(RC)
    figure = Figure(figsize=(TEXT_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return Canvas(figure, figure.subplots(max(1, rows), max(1, columns), squeeze=False, **options))


def label_attacks(label: str, mean_attacks: Sequence[str], width: int = LABEL_WIDTH) -> str:
    """A label of a mean over attacks, which are named below it where the mean is not the paper's."""
    names = name_attacks(mean_attacks)
    return f"{label}\n{textwrap.fill(f'over {names}', width)}" if names else label


def count_seeds(count: int) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} seed{'s' if count != 1 else ''}"


def count_range(counts: Iterable[int]) -> str:
    """`n = 12`, or `n = 12 to 30` where panels' counts differ."""
    ordered = sorted(set(counts))
    return f"n = {' to '.join(map(str, ordered[:1] + ordered[1:][-1:]))}"


def draw_profile(axes, places: np.ndarray, profile: Any, band: Mapping[str, Any], **line: Any) -> None:
    """A cosine per slot as a line (see `harc.results.geometry`), with its band where there is one."""
    axes.plot(places, profile.cosine, **line)
    if not np.isnan(profile.low).all():
        axes.fill_between(places, profile.low, profile.high, **band)


def draw_series(
    axes, places: Sequence[float], values: Sequence[Interval], method: str, bar: float, **line: Any
) -> None:
    """A method's values as a line with vertical intervals, `bar` points wide."""
    means = [value for value, _, _ in values]
    errors = [[v - low for v, low, _ in values], [high - v for v, _, high in values]]
    style = style_line(method)
    axes.errorbar(places, means, yerr=errors, fmt="none", color=style["color"], linewidth=bar, zorder=2)
    axes.plot(places, means, **style, **line)


def draw_cross(axes, x: Interval, y: Interval, **style: Any) -> None:
    """The intervals of a point on both axes."""
    reach = [[[max(0.0, v - low)], [max(0.0, high - v)]] for v, low, high in (x, y)]
    axes.errorbar(x[0], y[0], xerr=reach[0], yerr=reach[1], fmt="none", **style)


def mark_methods(methods: Iterable[str], size: float) -> list[Line2D]:
    """Handles of a legend: each method's marker, without a line."""
    return [Line2D([], [], markersize=size, **{**style_line(m), "linestyle": ""}) for m in methods]


def write_corner(axes, text: str) -> None:
    """Small text in a panel's upper right corner: counts of prompts and seeds."""
    axes.text(0.98, 0.98, text, transform=axes.transAxes, ha="right", va="top", fontsize=6.5)


def say_missing(axes, what: str) -> None:
    """Write into a panel what it lacks, in place of data."""
    axes.text(
        0.5,
        0.5,
        f"not available:\n{what}",
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=GREY,
        fontsize=7.5,
        style="italic",
        wrap=True,
    )


def save_figure(canvas: Canvas, out_pdf: Path, out_png: Path) -> None:
    """Write the PDF and the PNG atomically and with bytes that depend on the drawing alone."""
    if canvas.remarks:
        remarks = "; ".join(dict.fromkeys(canvas.remarks))
        text = "\n".join(textwrap.wrap(f"Left out: {remarks}", NOTE_WIDTH))
        canvas.figure.supxlabel(text, fontsize=6.5, color=GREY, style="italic")
    for path, kind, metadata in (
        (out_pdf, "pdf", {"CreationDate": None, "Creator": None, "Producer": None}),
        (out_png, "png", {"Software": None}),
    ):
        buffer = io.BytesIO()
        canvas.figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
        write_bytes(path, buffer.getvalue())
