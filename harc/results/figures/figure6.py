"""Figure 6: the terms of the loss while training, per method and backbone."""

from pathlib import Path

from harc.results.figures.style import Canvas, count_seeds, open_canvas, say_missing, style_line
from harc.results.readings import TERMS, read_logs, read_term
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method


def list_inputs(view: Results) -> list[Path]:
    """Every adapter's training log."""
    return view.list_files("adapters", view.every_method[1:])


def _draw_method(axes, method: str, logs: dict[int, list[dict]], term: str) -> bool:
    """One line per seed, the first with the label; says whether there was anything to draw."""
    style, drawn = style_line(method), False
    for rows in logs.values():
        steps, values = read_term(rows, term)
        if not steps:
            continue
        axes.plot(steps, values, markevery=max(1, len(steps) // 6), alpha=0.6 if drawn else 1.0, **style)
        style["label"], drawn = None, True
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


def draw(view: Results) -> Canvas:
    """Draw the figure: a row per backbone, a column per term, one line per method and seed."""
    trained = view.every_method[1:]
    canvas = open_canvas(len(view.backbones), len(TERMS), 1.7 * len(view.backbones) + 0.7, sharex=True)
    for row, backbone in zip(canvas.panels, view.backbones, strict=False):
        logs = {method: read_logs(view.root, backbone, method, view.seeds) for method in trained}
        absent = [name_method(method) for method, held in logs.items() if not held]
        canvas.remarks += [f"{name} on {name_backbone(backbone)}" for name in absent]
        _draw_row(row, logs)
        count = max((len(held) for held in logs.values()), default=0)
        row[0].set_ylabel(f"{name_backbone(backbone)}\n{count_seeds(count)}")
    for axes, label in zip(canvas.panels[0], TERMS.values(), strict=True):
        axes.set_title(label.replace(", ", ",\n").replace(" on ", "\non "), fontsize=7.5)
    for axes in canvas.panels[-1]:
        axes.set_xlabel("step")
    canvas.add_legend(map(name_method, trained), 6)
    return canvas
