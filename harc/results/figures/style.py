"""The one look of every figure: the paper's font and width, safe colours, shapes that read in grey.

Colours are those of Okabe and Ito (2008); every colour comes with its own marker and line style, so that a
figure printed in grey still reads. Files carry no dates and no program names: equal results give equal bytes.
"""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from harc.core.files import write_bytes
from harc.settings.methods import list_looks

TEXT_WIDTH = 6.5  # inches, the paper's text width
DOTS_PER_INCH = 200
GREY = "0.45"
NOTE_WIDTH = 140  # characters of a line under a figure
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
CYCLE = (("#0072B2", "o", "-"), ("#D55E00", "s", "--"), ("#009E73", "^", "-."), ("#CC79A7", "D", ":"))


def style_method(method: str) -> tuple[str, str, object]:
    """Colour, marker and line style of a method; methods without one of their own share a grey."""
    look = list_looks().get(method)
    return (look and look.style) or (GREY, "h", (0, (6, 2)))


def style_index(index: int) -> tuple[str, str, object]:
    """Colour, marker and line style of the index-th series."""
    return CYCLE[index % len(CYCLE)]


def create_figure(rows: int, columns: int, height: float, **options):
    """A figure of the paper's text width and a (rows, columns) array of axes.

    Args:
        rows: panels down.
        columns: panels across.
        height: inches.
        options: for `Figure.subplots` (sharex, sharey, width_ratios ...).
    """
    matplotlib.rcParams.update(RC)
    figure = Figure(figsize=(TEXT_WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


@contextmanager
def open_figure(
    rows: int, columns: int, height: float, out_pdf: Path, out_png: Path, **options
) -> Iterator[tuple[Figure, np.ndarray, list[str]]]:
    """The frame that figures share: panels to draw in, and a list for what is left out; written at the end.

    Args:
        rows, columns, height, options: as for `create_figure`.
        out_pdf, out_png: files to write.

    Yields:
        The figure, its (rows, columns) panels, and the remarks, to which the caller adds.
    """
    figure, panels = create_figure(rows, columns, height, **options)
    remarks: list[str] = []
    yield figure, panels, remarks
    note_missing(figure, remarks)
    save_figure(figure, out_pdf, out_png)


def add_legend(figure, panels, order, columns: int) -> None:
    """One legend above all panels: every label once, in the given order."""
    found: dict = {}
    for axes in panels.flat:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    labels = sorted(found, key=list(order).index)
    if labels:
        handles = [found[label] for label in labels]
        figure.legend(handles, labels, loc="outside upper center", ncols=min(columns, len(labels)))


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


def note_missing(figure, remarks: list[str]) -> None:
    """Name under the figure whatever was left out of it, so that nothing is missing silently."""
    if remarks:
        text = "\n".join(textwrap.wrap("Left out: " + "; ".join(dict.fromkeys(remarks)), NOTE_WIDTH))
        figure.supxlabel(text, fontsize=6.5, color=GREY, style="italic")


def save_figure(figure, out_pdf: Path, out_png: Path) -> None:
    """Write the PDF and the PNG atomically and with bytes that depend on the drawing alone."""
    for path, kind, metadata in (
        (out_pdf, "pdf", {"CreationDate": None, "Creator": None, "Producer": None}),
        (out_png, "png", {"Software": None}),
    ):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
        write_bytes(path, buffer.getvalue())
