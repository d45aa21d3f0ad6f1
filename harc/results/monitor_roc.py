"""The ROC curves of a monitor as a figure, each axis with its area and the threshold that was chosen."""

from collections.abc import Mapping
from pathlib import Path

from harc.evaluation.monitor_file import COMBINED, LABELS, Curve, Measured
from harc.results.figures.style import GREY, open_canvas, save_figure, style_index

HEIGHT = 3.4  # inches


def draw_roc(curves: Mapping[str, Curve], measured: Mapping[str, Measured], title: str, stem: Path) -> None:
    """Write stem.pdf and stem.png.

    Args:
        curves: by axis.
        measured: of the same prompts, by axis.
        title: whose prompts they are.
        stem: path without its ending.
    """
    canvas = open_canvas(1, 2, HEIGHT)
    axes, words = canvas.panels[0]
    for index, (name, curve) in enumerate(curves.items()):
        colour, marker, line = ("#000000", "*", "-") if name == COMBINED else style_index(index)
        one = measured[name]
        area = "{:.2f} [{:.2f}, {:.2f}]".format(*one.area)
        label = f"{LABELS[name]}: AUC {area}"
        axes.plot(
            curve.false_positive_rate, curve.true_positive_rate, color=colour, linestyle=line, label=label
        )
        axes.plot(
            one.false_positive_rate[0], one.true_positive_rate[0], color=colour, marker=marker, markersize=6
        )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, linestyle=":")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", title=title)
    axes.set(xlabel="false positive rate (benign prompts flagged)", ylabel="true positive rate")
    words.axis("off")
    counts = next(iter(measured.values()))
    words.legend(*axes.get_legend_handles_labels(), loc="upper left")
    note = (
        f"n = {counts.benign} benign, {counts.harmful} harmful\nmarks: the thresholds in use; intervals 95 %"
    )
    words.text(0.02, 0.02, note, transform=words.transAxes, fontsize=7.5)
    save_figure(canvas, stem.with_name(f"{stem.name}.pdf"), stem.with_name(f"{stem.name}.png"))
