"""One conversation under a monitor as a self-contained HTML page: coloured tokens, scores, its path in the plane."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from jaxtyping import Float

from harc.core.files import write_text
from harc.core.untrusted import replace_surrogates
from harc.evaluation.monitor_file import COMBINED, MonitorFile
from harc.evaluation.monitor_scoring import SIDES, Reading
from harc.results.monitor_view import COLOURS, REACH, Cell, list_cells, list_verdicts, place_token
from harc.results.report import TEMPLATES

SIZE, INSET = 420, 36  # of the plane, and of its margin, in the picture's own units
LEAST_EXTENT, MOST_EXTENT = 2.5, 8.0  # of the plane's axes
SMOOTHED = 5  # tokens of the running mean that the path follows
GAUGE = 200  # width of a score's gauge


def shade(value: float | None, axis: str) -> str:
    """Background of a token's strip: nearly white for what is ordinary, the axis' colour for what lies far out."""
    if value is None:
        return "transparent"
    share = min(1.0, max(0.0, value / REACH))
    mixed = (round(238 + share * (end - 238)) for end in COLOURS[axis])
    return "rgb({},{},{})".format(*mixed)


def present_tokens(cells: Sequence[Cell], side: str) -> list[dict[str, Any]]:
    """What the template needs of each token."""

    def describe(cell: Cell) -> str:
        named = {"harm": "harmfulness", "ref": "refusal"}
        parts = [
            f"{named[axis]}: cosine {cosine:+.3f} ({value:+.1f})"
            for axis, cosine in cell.cosines.items()
            if cosine is not None and (value := cell.values[axis]) is not None
        ]
        return "; ".join(parts)

    # One space in front of a word stands outside its box, so that a line may break there.
    texts = [replace_surrogates(cell.text) for cell in cells]
    apart = [len(text) > 1 and text[0] == " " != text[1] for text in texts]
    return [
        {
            "space": apart[place],
            "text": texts[place][apart[place] :],
            "place": f"{side}-{place}",
            "harm": shade(cell.values["harm"], "harm"),
            "ref": shade(cell.values["ref"], "ref"),
            "said": describe(cell),
            "breaks": cell.breaks,
        }
        for place, cell in enumerate(cells)
    ]


def smooth(points: Float[np.ndarray, "tokens 2"]) -> Float[np.ndarray, "tokens 2"]:
    """Mean of each point with those before it, SMOOTHED at most."""
    return np.stack(
        [points[max(0, place + 1 - SMOOTHED) : place + 1].mean(0) for place in range(len(points))]
    )


def draw_plane(monitor: MonitorFile, cells: Mapping[str, Sequence[Cell]]) -> dict[str, Any] | None:
    """The plane of harmfulness against refusal: by side its points, its path and the means of calibration prompts.

    None if no side has both axes and a token.
    """
    found = {}
    for side, names in SIDES.items():
        if not cells[side] or not all(name in monitor.axes for name in names):
            continue
        points = np.array([[cell.values["ref"], cell.values["harm"]] for cell in cells[side]], dtype=float)
        harm, ref = (monitor.axes[name] for name in names)
        means = {
            kind: np.array(
                [place_token(ref, getattr(ref, kind)[0]), place_token(harm, getattr(harm, kind)[0])]
            )
            for kind in ("benign", "harmful")
        }
        found[side] = (points, smooth(points), means)
    if not found:
        return None
    reached = np.abs(np.concatenate([path for _, path, _ in found.values()]))
    marked = np.abs(np.stack([mean for *_, means in found.values() for mean in means.values()]))
    wanted = 1.12 * max(float(np.quantile(reached, 0.97)), float(marked.max()))
    extent = min(MOST_EXTENT, max(LEAST_EXTENT, wanted))

    def place(point: Float[np.ndarray, "2"]) -> tuple[float, float]:
        x, y = np.clip(point, -extent, extent) / extent
        half = SIZE / 2 - INSET
        return round(SIZE / 2 + half * x, 1), round(SIZE / 2 - half * y, 1)

    sides = []
    for side, (points, path, means) in found.items():
        line = [place(point) for point in path]
        sides.append(
            {
                "name": side,
                "points": [
                    {
                        "x": x,
                        "y": y,
                        "place": f"{side}-{number}",
                        "out": bool((np.abs(points[number]) > extent).any()),
                    }
                    for number, (x, y) in enumerate(map(place, points))
                ],
                "path": " ".join(f"{x},{y}" for x, y in line),
                "start": line[0],
                "end": line[-1],
                "means": [{"kind": kind, "at": place(mean)} for kind, mean in means.items()],
            }
        )
    ticks = [
        {"value": value, "x": place(np.array([value, 0.0]))[0], "y": place(np.array([0.0, value]))[1]}
        for value in (-6, -4, -2, 2, 4, 6)
        if abs(value) < extent
    ]
    return {
        "size": SIZE, "inset": INSET, "sides": sides, "edge": place(np.array([1.0, 1.0])),
        "low": place(np.array([-1.0, -1.0])), "ticks": ticks,
    }  # fmt: skip


def draw_gauges(monitor: MonitorFile, reading: Reading) -> list[dict[str, Any]]:
    """Each score on a scale with its threshold and, on single axes, where benign and harmful prompts lie."""
    gauges = []
    for verdict in list_verdicts(monitor, reading):
        bands = {}
        if verdict["name"] != COMBINED:
            axis = monitor.axes[verdict["name"]]
            bands = {kind: getattr(axis, kind) for kind in ("benign", "harmful")}
        marks = [verdict["threshold"], *([] if verdict["score"] is None else [verdict["score"]])]
        marks += [mean + sign * sd for mean, sd in bands.values() for sign in (-1, 1)]
        low, high = min(marks), max(marks)
        reach = max(high - low, 1e-6)

        def place(value: float, low: float = low, reach: float = reach) -> float:
            return round(GAUGE * (0.06 + 0.88 * (value - low) / reach), 1)

        gauges.append(
            verdict
            | {
                "unit": "log-odds" if verdict["name"] == COMBINED else "cosine",
                "at": None if verdict["score"] is None else place(verdict["score"]),
                "cut": place(verdict["threshold"]),
                "bands": [
                    {
                        "kind": kind,
                        "x": place(mean - sd),
                        "width": round(place(mean + sd) - place(mean - sd), 1),
                    }
                    for kind, (mean, sd) in bands.items()
                ],
            }
        )
    return gauges


def render_page(monitor: MonitorFile, reading: Reading) -> str:
    """HTML of one conversation; equal conversations give equal bytes, and the page asks for nothing from outside."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    cells = {side: list_cells(monitor, reading, side) for side in SIDES}
    sides = [
        {
            "name": side,
            "tokens": present_tokens(cells[side], side),
            "slots": [
                {"axis": axis, "slot": monitor.axes[f"{side}_{axis}"].slot}
                for axis in ("harm", "ref")
                if f"{side}_{axis}" in monitor.axes
            ],
        }
        for side in SIDES
    ]
    return environment.get_template("monitor.html").render(
        model=monitor.model.source, target=monitor.target, window=monitor.window, sides=sides, gauge=GAUGE, reach=REACH,
        smoothed=SMOOTHED, gauges=draw_gauges(monitor, reading), plane=draw_plane(monitor, cells),
        counts=[{"part": part, **one["combined"].model_dump()} for part, one in monitor.measured.items()],
    )  # fmt: skip


def write_page(path: Path, monitor: MonitorFile, reading: Reading) -> None:
    """Write the page atomically."""
    write_text(path, render_page(monitor, reading))
