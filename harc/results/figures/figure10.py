"""Figure 10: attack success per method, attack and category of harm, as a heat map with its values and counts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from harc.results.figures.style import GREY, Canvas, open_canvas, say_missing
from harc.results.latex import format_rate
from harc.results.rates import Cell, list_categories, tabulate_categories
from harc.results.view import Results
from harc.results.vocabulary import name_backbone, name_method, name_suite

COLOURS = "Blues"  # one hue from light to dark: even in grey, and for the colour-blind
DARK_ABOVE = 0.55  # rate from which a cell's text is white
ROW = 0.142  # inches
LABEL = 56  # points from a map to the names of its methods
Tables = Mapping[str, list[list[Cell]] | None]


def list_inputs(view: Results) -> list[Path]:
    """Every model's outcomes."""
    return view.list_files("scores", view.every_method)


def _common_counts(tables: Tables) -> list[int]:
    """The most frequent number of goals of each column: the one in its head."""
    rows = [row for table in tables.values() if table for row in table]
    return [Counter(row[column].n for row in rows).most_common(1)[0][0] for column in range(len(rows[0]))]


def _write_cell(axes, row: int, column: int, cell: Cell, usual: int) -> None:
    if cell.rate is None:
        axes.text(column + 0.5, row + 0.5, "--", ha="center", va="center", fontsize=4.5, color=GREY)
        return
    text = format_rate(cell.rate) if cell.n == usual else f"{format_rate(cell.rate)}/{cell.n}"
    colour = "white" if cell.rate > DARK_ABOVE else "black"
    axes.text(column + 0.5, row + 0.52, text, ha="center", va="center", fontsize=4.5, color=colour)


def _draw_map(axes, tables: Tables, attacks: Sequence[str], categories: Sequence[str], first: bool) -> None:
    """A block of rows per method, a row per attack, a column per category."""
    count, width = len(attacks), len(categories)
    usual = _common_counts(tables)
    rates = np.full((count * len(tables), width), np.nan)
    for block, table in enumerate(tables.values()):
        if table is None:
            middle = width / 2, (block + 0.5) * count
            axes.text(*middle, "not available", ha="center", va="center", fontsize=6, color=GREY)
            continue
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                rates[block * count + row, column] = np.nan if cell.rate is None else cell.rate
                _write_cell(axes, block * count + row, column, cell, usual[column])
    axes.pcolormesh(rates, cmap=COLOURS, vmin=0, vmax=1, edgecolors="white", linewidth=0.3)
    for block in range(1, len(tables)):
        axes.axhline(block * count, color="black", linewidth=0.6)
    axes.invert_yaxis()
    heads = [f"{category} ({n})" for category, n in zip(categories, usual, strict=True)]
    axes.set_xticks(np.arange(width) + 0.5, heads, rotation=90, fontsize=5.5)
    axes.xaxis.tick_top()
    names = [name_suite(attack) for _ in tables for attack in attacks]
    axes.set_yticks(np.arange(len(names)) + 0.5, names if first else [""] * len(names), fontsize=5)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def _name_methods(axes, methods: Sequence[str], height: int) -> None:
    """The methods' names beside their blocks, each of so many rows."""
    for block, method in enumerate(methods):
        axes.annotate(
            name_method(method).replace(" (", "\n("),
            (0, (block + 0.5) * height),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-LABEL, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            rotation=90,
            fontsize=6,
        )


def draw(view: Results) -> Canvas:
    """Draw the figure: a map per backbone; goals of several seeds add up."""
    methods, attacks = view.every_method, view.attacks
    canvas = open_canvas(1, len(view.backbones), ROW * len(attacks) * len(methods) + 1.0)
    for index, (axes, backbone) in enumerate(zip(canvas.panels[0], view.backbones, strict=False)):
        name = name_backbone(backbone)
        read = {method: view.outcomes(backbone, method) for method in methods}
        held = {method: pd.concat(by_seed.values()) for method, by_seed in read.items() if by_seed}
        categories = list_categories(pd.concat(held.values()), attacks) if held else []
        canvas.remarks += [f"{name_method(method)} on {name}" for method in methods if method not in held]
        axes.set_title(f"{name}, seeds: {', '.join(map(str, view.seeds))}", fontsize=8)
        if not categories:
            say_missing(axes, "outcomes under any attack")
            continue
        tables = {
            m: tabulate_categories(held[m], attacks, categories) if m in held else None for m in methods
        }
        _draw_map(axes, tables, attacks, categories, first=index == 0)
        if index == 0:
            _name_methods(axes, methods, len(attacks))
        if any(cell.n == 0 for table in tables.values() if table for row in table for cell in row):
            canvas.remarks.append(f"-- marks a category without goals under that attack ({name})")
    return canvas
