"""Published against reproduced, cell by cell: the difference, and whether our interval holds the published value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harc.results.latex import (escape_latex, format_interval, format_rate, format_signed)
from harc.results.outcomes import read_by_seed
from harc.results.published import Published, PublishedModel, load_published
from harc.results.rates import Rate, estimate_rate
from harc.results.tables.layout import Table, stack_cell, title_row
from harc.results.vocabulary import name_method

COLUMNS = (
    "model_id",
    "method",
    "metric",
    "published",
    "items",
    "source",
    "backbone",
    "our_method",
    "our_metric",
    "reproduced",
    "low",
    "high",
    "n",
    "seeds",
    "difference",
    "inside",
    "status",
)
COMPARED, NOT_RUN = "compared", "not run in this profile"
GROUPS = {
    "attack": "Attack success rate $\\downarrow$",
    "over_refusal": "Over-refusal $\\downarrow$",
    "helpfulness": "Helpfulness $\\uparrow$",
}


class Cell(NamedTuple):
    """A published value and, where the same model was run, ours."""

    metric: str
    published: float | None
    ours: Rate | None

    @property
    def inside(self) -> bool | None:
        """Whether our interval holds the published value; None where there is nothing to compare."""
        if self.ours is None or self.published is None:
            return None
        return self.ours.low <= self.published <= self.ours.high


class Line(NamedTuple):
    """One published row beside one of our methods."""

    model: PublishedModel
    method: str
    our_method: str
    backbone: str | None
    cells: list[Cell]

    @property
    def is_run(self) -> bool:
        """Whether any cell has a value of ours."""
        return any(cell.ours is not None for cell in self.cells)


def _estimate(outcomes: Mapping, metric: str, confidence: float) -> Rate | None:
    return estimate_rate(outcomes, metric, confidence) if outcomes else None


def compare_lines(
    published: Published,
    results_root: Path,
    models: Mapping[str, str],
    seeds: Sequence[int],
    confidence: float,
) -> list[Line]:
    """Every published row beside each of our methods that stands for it.

    Args:
        published: the published numbers.
        results_root: root of the results tree.
        models: model id on the hub by the name of a backbone of the profile.
        seeds: training seeds.
        confidence: coverage of our intervals.
    """
    names = {model_id: backbone for backbone, model_id in models.items()}
    lines = []
    for model in published.models:
        backbone = names.get(model.model_id)
        for method, values in model.rows.items():
            for our_method in published.methods[method]:
                outcomes = read_by_seed(results_root, backbone, our_method, seeds) if backbone else {}
                cells = [
                    Cell(name, value, _estimate(outcomes, column.ours, confidence))
                    for (name, column), value in zip(published.columns.items(), values, strict=True)
                ]
                lines.append(Line(model, method, our_method, backbone, cells))
    return lines


def _rows(published: Published, lines: Sequence[Line]) -> list[dict]:
    rows = []
    for line in lines:
        for cell in line.cells:
            if cell.published is None:
                continue
            column, ours = published.columns[cell.metric], cell.ours
            row = {
                "model_id": line.model.model_id,
                "method": line.method,
                "metric": cell.metric,
                "published": cell.published,
                "items": column.items,
                "source": line.model.source,
                "backbone": line.backbone,
                "our_method": line.our_method,
                "our_metric": column.ours,
                "status": NOT_RUN,
            }
            if ours is not None:
                row |= {
                    "reproduced": ours.estimate,
                    "low": ours.low,
                    "high": ours.high,
                    "n": ours.n,
                    "seeds": ours.seeds,
                    "difference": ours.estimate - cell.published,
                    "inside": cell.inside,
                    "status": COMPARED,
                }
            rows.append(row)
    return rows


def _typeset_cell(cell: Cell, is_run: bool) -> str:
    if cell.published is None:
        return "--"
    shown = [format_rate(cell.published, 3)]
    if cell.ours is not None:
        difference = format_signed(cell.ours.estimate - cell.published)
        interval = format_interval(cell.ours.low, cell.ours.high).replace(", ", ",")
        mark = "$\\in$" if cell.inside else "$\\notin$"
        shown += [format_rate(cell.ours.estimate), f"{mark} {interval}", difference]
    elif is_run:
        shown.append("not run")
    return stack_cell(shown)


def _typeset_line(line: Line) -> str:
    label = escape_latex(name_method(line.method))
    if line.our_method != line.method:
        label += f"\\\\[-3pt]{{\\tiny ours: {escape_latex(name_method(line.our_method))}}}"
    elif line.method == "harc":
        label += "\\\\[-3pt]{\\tiny ours: corrected}"
    if not line.is_run:
        label += f"\\\\[-3pt]{{\\tiny\\itshape {NOT_RUN}}}"
    label = f"\\begin{{tabular}}[t]{{@{{}}l@{{}}}}{label}\\end{{tabular}}"
    return " & ".join([label, *(_typeset_cell(cell, line.is_run) for cell in line.cells)]) + " \\\\"


def _header(published: Published) -> list[str]:
    groups = [column.group for column in published.columns.values()]
    first, rules, start = [""], "", 2
    for group, title in GROUPS.items():
        width = groups.count(group)
        first.append(f"\\multicolumn{{{width}}}{{c}}{{{title}}}")
        rules += f"\\cmidrule(lr){{{start}-{start + width - 1}}}"
        start += width
    columns = published.columns.values()
    labels = [f"\\scriptsize {escape_latex(column.label)}" for column in columns]
    sizes = [f"\\scriptsize {column.items or '?'}" for column in columns]
    return [" & ".join(first), rules, " & ".join(["", *labels]), " & ".join(["\\scriptsize items", *sizes])]


def _notes(lines: Sequence[Line], confidence: float) -> list[str]:
    sources = dict.fromkeys(f"{line.model.model_id}: {line.model.source}" for line in lines)
    notes = [
        "Items: what the published values fit as counts, inferred here; ?: nothing fits, or not tried. "
        "--: not published."
    ]
    if any(line.is_run for line in lines):
        notes.append(
            f"Under a published value: ours, whether our {100 * confidence:g}\\% interval holds the published value "
            "($\\in$) or not ($\\notin$), and ours minus published. Prompts, judges and attackers are not the paper's."
        )
    if not all(line.is_run for line in lines):
        notes.append(f"Rows marked as {NOT_RUN} show the published value alone.")
    return [*notes, "Sources: " + "; ".join(escape_latex(source) for source in sources) + "."]


def build_table(
    published_file: Path,
    results_root: Path,
    models: Mapping[str, str],
    seeds: Sequence[int],
    confidence: float = 0.95,
) -> Table:
    """The table; see `compare_lines` for the arguments.

    Raises:
        ConfigError: if the file of published numbers is not valid.
    """
    published = load_published(published_file)
    lines = compare_lines(published, results_root, models, seeds, confidence)
    body: list[str] = []
    for model in published.models:
        body += ["\\addlinespace"] if body else []
        body.append(title_row(model.model_id, len(published.columns) + 1))
        body += [_typeset_line(line) for line in lines if line.model == model]
    return Table(
        "published",
        COLUMNS,
        _rows(published, lines),
        "@{}l@{\\hspace{4pt}}" + "c@{\\hspace{3pt}}" * (len(published.columns) - 1) + "c@{}",
        _header(published),
        body,
        _notes(lines, confidence),
        long=True,
    )
