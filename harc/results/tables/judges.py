"""Judges of refusal against people: the committed calibration on XSTest's labelled completions."""

from pathlib import Path

from harc.results.latex import (MISSING, escape_latex, format_interval, format_number, format_rate)
from harc.results.tables.layout import (Table, read_number, read_table, title_row)
from harc.evaluation.calibrate_over_refusal import COLUMNS, KAPPAS

PRINTED = ("judge", "agreement_any", "kappa_any", "agreement_full", "kappa_full")
TEXTS = (
    "completion_model", "prompts", "judge_name", "judge_version", "developed_on", "source", "revision", "sha256",
)  # fmt: skip
CALIBRATION = "over_refusal.csv"


def _read_rows(folder: Path) -> list[dict]:
    """The calibration with numbers as numbers."""
    return [
        {name: row[name] if name in TEXTS else read_number(row, name) for name in COLUMNS}
        for row in read_table(folder / CALIBRATION)
    ]


def _with_interval(row: dict, name: str) -> str:
    interval = format_interval(row[f"{name}_low"], row[f"{name}_high"]).replace(", ", ",")
    if row[name] is None:
        return MISSING
    return f"{format_number(row[name])} {{\\scriptsize {interval}}}"


def _title(rows: list[dict]) -> str:
    first = rows[0]
    people = [f"{kind} {format_rate(first[f'human_{kind}'])}" for kind in ("any", "full")]
    return f"Answers of {first['completion_model']} (n = {int(first['n'])}): people see {', '.join(people)}"


def build_table(calibration: Path) -> Table:
    """The safe half of XSTest by completion model and judge; the CSV holds the unsafe half too.

    Args:
        calibration: folder of the committed calibration.
    """
    rows = _read_rows(calibration)
    safe = [row for row in rows if row["prompts"] == "safe"]
    body: list[str] = []
    for model in dict.fromkeys(row["completion_model"] for row in safe):
        own = [row for row in safe if row["completion_model"] == model]
        body += ["\\addlinespace"] if body else []
        body.append(title_row(_title(own), len(PRINTED) + 1))
        body += [
            " & ".join(
                [
                    escape_latex(row["judge_name"].replace("_", " ")),
                    *(_with_interval(row, c) for c in PRINTED),
                ]
            )
            + " \\\\"
            for row in own
        ]
    notes = [
        "Share of safe prompts that count as refused, with 95\\% Wilson intervals; agreement with people and Cohen's "
        "$\\kappa$ (bootstrap) where partial refusals count as refusals (any) and where they do not (full). "
        "gpt4: labels published beside the human ones.",
        f"{MISSING}: undefined, since one side knows a single label."
        if any(row[name] is None for row in safe for name in KAPPAS)
        else "",
        *_describe_development(rows),
        *_describe_unsafe(rows),
    ]
    header = ["judge & refused & agreement (any) & $\\kappa$ (any) & agreement (full) & $\\kappa$ (full)"]
    if not body:
        body, notes = ["\\multicolumn{6}{@{}l}{no calibration is at hand} \\\\"], []
    return Table("judges", COLUMNS, rows, "@{}llllll@{}", header, body, [note for note in notes if note])


def _describe_development(rows: list[dict]) -> list[str]:
    """Which judges were written with some of these answers, and which answers are held out for them."""
    notes = []
    for judge in dict.fromkeys(row["judge_name"] for row in rows if row["developed_on"] == "yes"):
        own = [row for row in rows if row["judge_name"] == judge]
        used = dict.fromkeys(row["completion_model"] for row in own if row["developed_on"] == "yes")
        held_out = dict.fromkeys(
            row["completion_model"] for row in own if row["completion_model"] not in used
        )
        notes.append(
            f"{escape_latex(judge.replace('_', ' '))}: developed on answers of {escape_latex(' and '.join(used))}; "
            f"held out: {escape_latex(', '.join(held_out) or 'none')}."
        )
    return notes


def _describe_unsafe(rows: list[dict]) -> list[str]:
    """The range of agreement on the unsafe half, where nearly all is refused and kappa says little."""
    found = [
        row["agreement_any"]
        for row in rows
        if row["prompts"] == "unsafe" and row["agreement_any"] is not None
    ]
    if not found:
        return []
    low, high = format_rate(min(found)), format_rate(max(found))
    return [
        f"On the unsafe contrasts agreement (any) runs from {low} to {high} over models and judges (CSV)."
    ]
