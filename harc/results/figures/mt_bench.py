"""MT-Bench by category: the mean grade of both turns, a panel per backbone, a line per method."""

from pathlib import Path

from harc.results.figures.style import Canvas, count_range, draw_series, open_canvas, say_missing
from harc.results.printer import read_number
from harc.results.readings import read_categories
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method, sort_methods

ORDER = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
BOTH = "both"
SHIFT = 0.11  # distance between the methods' marks, in categories


def list_inputs(view: Results) -> list[Path]:
    """Grades by category, first seed only."""
    return view.list_files("helpfulness", view.methods, view.seeds[:1])


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


def _draw_panel(axes, backbone: str, grades: dict[str, dict]) -> None:
    axes.set_title(name_backbone(backbone))
    if not grades:
        say_missing(axes, "MT-Bench grades")
        return
    for number, (method, own) in enumerate(grades.items()):
        shift = SHIFT * (number - (len(grades) - 1) / 2)
        places = [place + shift for place, name in enumerate(ORDER) if name in own]
        values = [own[name][:3] for name in ORDER if name in own]
        draw_series(axes, places, values, method, bar=0.6, linewidth=0.7)
    unread = sum(values[4] for own in grades.values() for values in own.values())
    note = f"{count_range(values[3] for own in grades.values() for values in own.values())} grades"
    note += f", {unread} unreadable" if unread else ""
    axes.text(0.02, 0.02, note, transform=axes.transAxes, fontsize=6.5)
    axes.set_xticks(range(len(ORDER)), ORDER, rotation=30, ha="right")
    axes.set_ylim(0.7, 10.3)
    axes.set_yticks([1, 4, 7, 10])


def draw(view: Results) -> Canvas:
    """Draw the figure: mean grades with 95% intervals whose questions are clusters."""
    methods, seed = sort_methods(list(view.methods)), view.seeds[0]
    rows = max(1, len(view.backbones))
    canvas = open_canvas(rows, 1, 0.6 + 2.0 * rows, sharex=True)
    for axes, backbone in zip(canvas.panels[:, 0], view.backbones, strict=False):
        held = {method: read_grades(view.root, backbone, method, seed) for method in methods}
        shown = {method: own for method, own in held.items() if own}
        absent = [name_method(method) for method in held if shown and method not in shown]
        canvas.remarks += [f"{name} on {name_backbone(backbone)}" for name in absent]
        _draw_panel(axes, backbone, shown)
        axes.set_ylabel("mean grade (1 to 10)")
    canvas.add_legend(map(name_method, methods), 5)
    return canvas
