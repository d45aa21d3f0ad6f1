"""Published against reproduced, cell by cell: the difference, and whether our interval holds the published value."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harc.core.errors import ConfigError
from harc.core.yaml_text import read_yaml
from harc.results.latex import escape_latex, format_rate, format_signed
from harc.results.printer import Column, Record, Table, format_tight, make_frame, stack_cell
from harc.results.rates import Rate
from harc.results.view import Results
from harc.results.vocabulary import name_method, note_attacks
from harc.suites.registry import is_published_mean

Share = Annotated[float, Field(ge=0, le=1)]


class PublishedColumn(BaseModel):
    """One published quantity, and what is measured here in its place."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str
    group: Literal["attack", "over_refusal", "helpfulness"]
    ours: str
    items: int | None


class PublishedModel(BaseModel):
    """The published rows of one model; None where the paper leaves a cell out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model_id: str
    source: str = Field(min_length=1)
    rows: dict[str, tuple[Share | None, ...]]


class Published(BaseModel):
    """Every published number that is known here."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    columns: dict[str, PublishedColumn]
    methods: dict[str, tuple[str, ...]]
    models: tuple[PublishedModel, ...]

    @model_validator(mode="after")
    def check_rows(self) -> "Published":
        """Refuse rows of another length than the columns, and rows of a method that nothing is laid beside."""
        for model in self.models:
            for method, values in model.rows.items():
                if len(values) != len(self.columns):
                    raise ValueError(
                        f"{len(self.columns)} values in row {method} of {model.model_id}, not {len(values)}"
                    )
                if method not in self.methods:
                    raise ValueError(f"methods that name {method}, a row of {model.model_id}")
        return self


def load_published(path: Path) -> Published:
    """Read and check the published numbers.

    Raises:
        ConfigError: naming what is wrong first: an unknown key, a rate outside 0 to 1, a row that is too short.
    """
    try:
        return Published.model_validate(read_yaml(path))
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "top"
        raise ConfigError(
            f"{path}: {key}",
            expected=first["msg"].removeprefix("Value error, "),
            found=repr(first["input"])[:60] if key != "top" else "other rows",
            fix="mend the file",
        ) from None


COLUMNS = (
    "model_id", "method", "metric", "published", "items", "source", "backbone", "our_method", "our_metric",
    "reproduced", "low", "high", "n", "seeds", "difference", "inside", "status",
)  # fmt: skip
COMPARED, NOT_RUN = "compared", "not run in this profile"
GROUPS = {
    "attack": "Attack success rate $\\downarrow$",
    "over_refusal": "Over-refusal $\\downarrow$",
    "helpfulness": "Helpfulness $\\uparrow$",
}


def _find_ours(view: Results, backbone: str | None, method: str, metric: str) -> Rate | None:
    """Our rate of a published metric; none where ours is a mean over other attacks."""
    other = metric == "mean_asr" and not is_published_mean(view.mean_attacks)
    if backbone is None or other:
        return None
    return view.estimate_rate(backbone, method, metric)


def compare_cells(published: Published, view: Results) -> list[dict]:
    """A row per published cell and method of ours that stands for its method; `_run`: whether the line has any of ours.

    Cells that the paper leaves out are rows too, with `published` None: ours may have them.
    """
    names = {model_id: backbone for backbone, model_id in view.models.items()}
    rows = []
    for model in published.models:
        backbone = names.get(model.model_id)
        for method, values in model.rows.items():
            for our_method in published.methods[method]:
                line: list[dict[str, Any]] = [
                    {
                        "model_id": model.model_id,
                        "method": method,
                        "metric": name,
                        "published": value,
                        "items": column.items,
                        "source": model.source,
                        "backbone": backbone,
                        "our_method": our_method,
                        "our_metric": column.ours,
                        "status": NOT_RUN,
                    }
                    for (name, column), value in zip(published.columns.items(), values, strict=True)
                ]
                for row in line:
                    rate = _find_ours(view, backbone, our_method, row["our_metric"])
                    if rate is not None:
                        row |= {"reproduced": rate.estimate, "low": rate.low, "high": rate.high, "n": rate.n}
                        row |= {"seeds": rate.seeds, "status": COMPARED}
                        if row["published"] is not None:
                            row["difference"] = rate.estimate - row["published"]
                            row["inside"] = rate.low <= row["published"] <= rate.high
                is_run = any("reproduced" in row for row in line)
                rows += [row | {"_run": is_run} for row in line]
    return rows


def _show_cell(row: Record) -> str:
    if row["published"] is None:
        return "--"
    shown = [format_rate(row["published"], 3)]
    if "reproduced" in row:
        mark = "$\\in$" if row["inside"] else "$\\notin$"
        interval = f"{mark} {format_tight(row['low'], row['high'])}"
        shown += [format_rate(row["reproduced"]), interval, format_signed(row["difference"])]
    elif row["_run"]:
        shown.append("not run")
    return stack_cell(shown)


def _show_method(row: Record) -> str:
    label = escape_latex(name_method(row["method"]))
    if row["our_method"] != row["method"]:
        label += f"\\\\[-3pt]{{\\tiny ours: {escape_latex(name_method(row['our_method']))}}}"
    elif row["method"] == "harc":
        label += "\\\\[-3pt]{\\tiny ours: corrected}"
    if not row["_run"]:
        label += f"\\\\[-3pt]{{\\tiny\\itshape {NOT_RUN}}}"
    return f"\\begin{{tabular}}[t]{{@{{}}l@{{}}}}{label}\\end{{tabular}}"


def _write_notes(rows: Sequence[Record], confidence: float) -> list[str]:
    sources = dict.fromkeys(f"{row['model_id']}: {row['source']}" for row in rows)
    notes = [
        "Items: what the published values fit as counts, inferred here; ?: nothing fits, or not tried. "
        "--: not published."
    ]
    if any(row["_run"] for row in rows):
        notes.append(
            f"Under a published value: ours, whether our {100 * confidence:g}\\% interval holds the published value "
            "($\\in$) or not ($\\notin$), and ours minus published. Prompts, judges and attackers are not the paper's."
        )
    if not all(row["_run"] for row in rows):
        notes.append(f"Rows marked as {NOT_RUN} show the published value alone.")
    return [*notes, "Sources: " + "; ".join(escape_latex(source) for source in sources) + "."]


def build_published(view: Results) -> Table:
    """Every published row beside each of our methods that stands for it.

    Raises:
        ConfigError: if the file of published numbers is not valid.
    """
    published = load_published(view.published)
    rows = compare_cells(published, view)
    columns = [Column(("", "\\scriptsize items"), _show_method)]
    columns += [
        Column(
            (f"\\scriptsize {escape_latex(column.label)}", f"\\scriptsize {column.items or '?'}"),
            _show_cell,
            group=GROUPS[column.group],
            where={"metric": name},
        )
        for name, column in published.columns.items()
    ]
    return Table(
        "published",
        make_frame(COLUMNS, [row for row in rows if row["published"] is not None]),
        columns,
        lines=("method", "our_method"),
        sections=("model_id",),
        title=lambda section: section[0]["model_id"],
        align="@{}l@{\\hspace{4pt}}" + "c@{\\hspace{3pt}}" * (len(published.columns) - 1) + "c@{}",
        notes=[*_write_notes(rows, view.confidence), *note_attacks(view.mean_attacks)],
        printed=rows,
        long=True,
    )
