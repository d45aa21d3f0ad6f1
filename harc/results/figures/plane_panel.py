"""What figures of the harmfulness-refusal plane share: the slot shown, the classes, points and ellipses."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.patches import Ellipse

from harc.results.geometry import Plane, fit_ellipse
from harc.results.latex import format_rate
from harc.settings.analysis import AnalysisSettings
from harc.stats.areas import estimate_area

# class name, suites (None: the panel's attacks), verdicts (None: any), colour, marker, line style
CLASSES = (
    ("direct harmful", ("direct",), None, "#000000", "s", "-"),
    ("attack, answered", None, ("correct",), "#D55E00", "x", "--"),
    ("attack, refused or garbled", None, ("refused", "garbled"), "#CC79A7", "+", ":"),
    ("wrapped benign", ("wrapped_benign",), None, "#0072B2", "o", "-."),
)
HEADROOM = 0.3  # share of the panel's height kept free for its text


def select_points(
    plane: Plane, side: str, slot: int, chosen: Bool[np.ndarray, " rows"]
) -> Float[np.ndarray, "points 2"]:
    """(refusal, harmfulness) of the chosen rows that have both."""
    points = np.stack(
        [plane.coordinates(side, "refusal")[chosen, slot], plane.coordinates(side, "harm")[chosen, slot]],
        axis=1,
    )
    return points[~np.isnan(points).any(axis=1)]


def _draw_class(axes, points: np.ndarray, style: tuple, settings: AnalysisSettings) -> None:
    name, _, _, colour, marker, line = style
    step = max(1, -(-len(points) // settings.plane_points))
    edge = {"facecolors": "none", "edgecolors": colour} if marker in "so" else {"color": colour}
    axes.scatter(*points[::step].T, s=7, marker=marker, linewidths=0.6, alpha=0.7, label=name, **edge)
    ellipse = fit_ellipse(points, settings.ellipse_coverage)
    if ellipse is not None:
        centre, width, height, angle = ellipse
        patch = Ellipse(
            centre, width, height, angle=angle, fill=False, edgecolor=colour, linestyle=line, linewidth=1.2
        )
        axes.add_patch(patch)


def draw_plane(
    axes, plane: Plane, side: str, slot: int, attacks: Sequence[str], settings: AnalysisSettings
) -> list[str]:
    """Draw every class with its ellipse, the counts and the separability; returns the classes that have points."""
    drawn, counts = [], []
    for style in CLASSES:
        points = select_points(plane, side, slot, plane.select(style[1] or attacks, style[2]))
        counts.append(str(len(points)))
        if len(points):
            _draw_class(axes, points, style, settings)
            drawn.append(style[0])
    harm = plane.coordinates(side, "harm")[:, slot]
    area = estimate_area(
        harm[plane.select(attacks)], harm[plane.select(("wrapped_benign",))], settings.confidence
    )
    text = f"n = {'/'.join(counts)}"
    if area:
        text += f"\nAUC {format_rate(area.estimate)} [{format_rate(area.low)}, {format_rate(area.high)}]"
    else:
        text += "\nAUC not available"
    axes.text(0.03, 1.0, text, transform=axes.transAxes, fontsize=6.2, va="top", linespacing=1.15)
    return drawn


def leave_headroom(axes) -> None:
    """Room for a panel's text above its points."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + HEADROOM * (high - low))
