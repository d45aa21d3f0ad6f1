"""Figure 2: the harmfulness-refusal plane of the untreated backbones, per attack family and side."""

from pathlib import Path

from harc.core.artifacts import BASE
from harc.results.figures.plane_panel import CLASSES, draw_plane, leave_headroom
from harc.results.figures.style import Canvas, open_canvas, say_missing
from harc.results.geometry import SIDES, choose_slot, read_band, read_plane
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_suite


def list_inputs(view: Results) -> list[Path]:
    """Projections on the base, and its layer choice (first seed only)."""
    return [
        path for kind in ("directions", "projections") for path in view.list_files(kind, seeds=view.seeds[:1])
    ]


def _draw_backbone(panels, view: Results, backbone: str) -> list[str]:
    """A row of panels per side; returns what they lack."""
    name = name_backbone(backbone)
    plane = read_plane(view.layout.directions(backbone, BASE, view.seeds[0]))
    remarks = [f"projections of {name}"] if plane is None else []
    for row, side in zip(panels, SIDES, strict=True):
        slot = None
        if plane is not None:
            slots = plane.coordinates(side, "harm").shape[1]
            slot = choose_slot(view.settings, read_band(view.root, backbone, view.seeds[0]), slots)
        for axes, attack in zip(row, view.attacks, strict=True):
            if plane is None or slot is None:
                say_missing(axes, "projections")
                continue
            drawn = draw_plane(axes, plane, side, slot, (attack,), view.settings)
            if not any(label.startswith("attack") for label in drawn):
                say_missing(axes, f"{name_suite(attack)} projections")
                remarks.append(f"{name_suite(attack)}, {side} side on {name}")
        where = f", slot {slot}" if slot is not None else ""
        row[0].set_ylabel(f"{name}\n{side} side{where}\nharmfulness", fontsize=7.5)
    return remarks


def draw(view: Results) -> Canvas:
    """Draw the figure for the first seed; axes are cosines with the base model's two directions."""
    rows = 2 * max(1, len(view.backbones))
    canvas = open_canvas(rows, len(view.attacks), 1.45 * rows + 0.6, sharey="row", sharex="row")
    for index, backbone in enumerate(view.backbones):
        canvas.remarks += _draw_backbone(canvas.panels[2 * index : 2 * index + 2], view, backbone)
    for axes, attack in zip(canvas.panels[0], view.attacks, strict=True):
        axes.set_title(name_suite(attack))
    for axes in canvas.panels[-1]:
        axes.set_xlabel("refusal")
    for row in canvas.panels:
        leave_headroom(row[0])
    canvas.add_legend([style[0] for style in CLASSES], 4)
    return canvas
