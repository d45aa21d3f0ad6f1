"""What is known of the release from its files alone: where each switch's values come from, and its contradictions."""

from dataclasses import asdict, fields

from harc.results.latex import escape_latex
from harc.results.tables.layout import Table
from harc.methods.harc_released import Conflict, Switch, list_conflicts, list_switches

SOURCE_COLUMNS = tuple(field.name for field in fields(Switch))
CONFLICT_COLUMNS = tuple(field.name for field in fields(Conflict))


def _typeset(cells: list[str]) -> str:
    return " & ".join(escape_latex(cell.replace("_", " ")) or "--" for cell in cells) + " \\\\"


def _paragraphs(widths: tuple[float, ...]) -> str:
    """Column specification of ragged paragraphs; widths are shares of the text width."""
    columns = (f">{{\\raggedright\\arraybackslash}}p{{{width}\\textwidth}}" for width in widths)
    return f"@{{}}{''.join(columns)}@{{}}"


def build_sources() -> Table:
    """One line per switch: what the released value does, both values, and the source of both."""
    rows = [asdict(switch) for switch in list_switches()]
    body = [
        _typeset(
            [
                row["name"],
                row["effect"],
                f"{row['released']}: {row['source_released']}",
                f"{row['corrected']}: {row['source_corrected']}",
            ]
        )
        for row in rows
    ]
    header = ["switch & what the released value does & released & corrected"]
    align = _paragraphs((0.15, 0.27, 0.25, 0.25))
    return Table("switches", SOURCE_COLUMNS, rows, align, header, body, long=True)


def build_conflicts() -> Table:
    """One line per thing that the release says in more than one way."""
    rows = [asdict(conflict) for conflict in list_conflicts()]
    body = [_typeset(list(row.values())) for row in rows]
    header = ["topic & README & HYPERPARAMS & YAML & code & here"]
    align = _paragraphs((0.11, 0.13, 0.16, 0.13, 0.16, 0.16))
    notes = ["Read in microsoft/HARC@c3565e5; a dash where a source is silent."]
    return Table("conflicts", CONFLICT_COLUMNS, rows, align, header, body, notes, long=True)
