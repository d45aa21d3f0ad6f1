"""Judges against a reader's labels of a drawn sample, each answer counting for as many as it stands for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.csv_files import read_csv_rows
from harc.core.errors import DataError
from harc.core.files import sha256_text
from harc.evaluation.reading_sample import KEY_COLUMNS, KEY_FILE, SAMPLE_COLUMNS, SAMPLE_FILE
from harc.judges.base import BLOCKED, UNJUDGED
from harc.judges.registry import LABELS_OF
from harc.stats.agreement import agreement_interval, kappa_interval

READ_AS = {
    "refused": "refused", "refusal": "refused", "answered": "answered", "correct": "answered", "broken": "broken",
    "garbled": "broken",
}  # fmt: skip
"""What a reader may write, and the labels of judges, in the reader's words: `answered` is not `harmful`."""
UNSURE = ("unsure", "?")
LABELS = ("refused", "answered", "broken")
BOOTSTRAP = {"resamples": 2000, "seed": 0}
ENDS = ("", "_low", "_high")
COLUMNS = (
    "backbone", "judge", "labels", "n", "unjudged", "unsure", "unread",
    *(f"{name}{end}" for name in ("agreement", "kappa") for end in ENDS),
)  # fmt: skip
CONFUSION_COLUMNS = ("backbone", "judge", "reader", "judged", "n", "share")
KINDS = {"all labels": None, "refused or not": "refused", "answered or not": "answered"}


def read_sample(folder: Path) -> list[dict[str, Any]]:
    """Rows of the key with the reader's label: one of LABELS, `unsure`, or None where nothing was written.

    Raises:
        DataError: for a missing file or column, a label that is none, texts that are not those drawn, or no labels.
    """
    sample = _read(folder / SAMPLE_FILE, SAMPLE_COLUMNS)
    key = {row["number"]: row for row in _read(folder / KEY_FILE, KEY_COLUMNS)}
    rows = []
    for place, row in enumerate(sample, start=2):
        where, known = f"{folder / SAMPLE_FILE}: row {place}", key.get(row["number"])
        if known is None or sha256_text(row["response"]) != known["response_sha256"]:
            raise DataError(
                where,
                expected=f"the answer that {KEY_FILE} has under number {row['number']!r:.20}",
                found="another" if known else "none",
                fix="keep the two files together, and change nothing but the column label",
            )
        written = row["label"].strip().lower()
        if written and written not in (*READ_AS, *UNSURE):
            raise DataError(
                where,
                expected=f"a label among {', '.join((*LABELS, UNSURE[0]))}",
                found=repr(row["label"])[:40],
                fix="correct it",
            )
        label = READ_AS.get(written, UNSURE[0] if written else None)
        rows.append({**known, "reader": label, "weight": float(known["weight"])})
    if not any(row["reader"] in LABELS for row in rows):
        raise DataError(
            str(folder / SAMPLE_FILE),
            expected=f"labels in the column label: {', '.join(LABELS)}",
            found="none",
            fix="read the answers and write them there",
        )
    return rows


def _read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    if not path.is_file():
        raise DataError(
            str(path), expected="a drawn sample and its key", found="no file", fix="run `harc judges sample`"
        )
    found, rows = read_csv_rows(path)
    missing = [name for name in columns if name not in found]
    if missing:
        raise DataError(
            str(path),
            expected=f"the columns {', '.join(columns)}",
            found=f"no {missing[0]}",
            fix="draw the sample again",
        )
    return rows


def measure_reading(rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict], list[dict]]:
    """Agreement and confusion of every judge with the reader, by backbone.

    Returns:
        Rows of two tables. Of the confusion, `share` is of all answers that the sample stands for.
    """
    judges = [name.removeprefix("label_") for name in rows[0] if name.startswith("label_")]
    agreement, confusion = [], []
    for backbone in sorted({row["backbone"] for row in rows}):
        own = [row for row in rows if row["backbone"] == backbone]
        counts = {
            "unsure": sum(row["reader"] == UNSURE[0] for row in own),
            "unread": sum(row["reader"] is None for row in own),
        }
        read = [row for row in own if row["reader"] in LABELS]
        for judge in judges:
            names = {"backbone": backbone, "judge": judge}
            both = [row for row in read if row[f"label_{judge}"] not in (UNJUDGED, BLOCKED, "")]
            rest = {"n": len(both), "unjudged": len(read) - len(both), **counts}
            for kind, label in _list_kinds(judge):
                figures = _compare(both, judge, label) if both else {}
                agreement.append({**names, "labels": kind, **rest, **figures})
            confusion += [{**names, **cell} for cell in _count(read, judge)]
    return agreement, confusion


def _list_kinds(judge: str) -> list[tuple[str, str | None]]:
    """The kinds of comparison that a judge's labels allow."""
    known = {READ_AS[label] for label in LABELS_OF.get(judge, ("refused", "correct", "garbled"))}
    return [
        (kind, label)
        for kind, label in KINDS.items()
        if (known == set(LABELS) if label is None else label in known)
    ]


def _compare(rows: Sequence[Mapping[str, Any]], judge: str, label: str | None) -> dict[str, float]:
    said: list[Any] = [READ_AS[row[f"label_{judge}"]] for row in rows]
    read: list[Any] = [row["reader"] for row in rows]
    if label is not None:
        said, read = [one == label for one in said], [one == label for one in read]
    # Answers to one request are drawn together: several methods answer it, and much alike.
    goals = [row["goal"] or row["id"] for row in rows]
    weights = [row["weight"] for row in rows]
    agreed = agreement_interval(read, said, goals, **BOOTSTRAP, weights=weights)
    kappa = kappa_interval(read, said, goals, **BOOTSTRAP, weights=weights)
    found = {"agreement": agreed, "kappa": kappa}
    return {
        f"{name}{end}": value for name, three in found.items() for end, value in zip(ENDS, three, strict=True)
    }


def _count(rows: Sequence[Mapping[str, Any]], judge: str) -> list[dict[str, Any]]:
    total = sum(row["weight"] for row in rows)
    cells: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        judged = row[f"label_{judge}"]
        cells.setdefault((row["reader"], READ_AS.get(judged, judged)), []).append(row["weight"])
    return [
        {"reader": reader, "judged": judged, "n": len(weights), "share": sum(weights) / total}
        for (reader, judged), weights in sorted(cells.items())
    ]


def summarise_reading(agreement: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines to print; what was answered is not thereby harmful."""
    lines = [f"{'backbone':24} {'judge':24} {'labels':16} {'n':>5} {'agreement':>22} {'kappa':>22}"]
    for row in agreement:
        cells = [
            f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]" if name in row else "-"
            for name in ("agreement", "kappa")
        ]
        lines.append(
            f"{row['backbone']:24} {row['judge']:24} {row['labels']:16} {row['n']:>5} {cells[0]:>22} {cells[1]:>22}"
        )
    return [*lines, "answered: neither refused nor broken; whether it is harmful or right nobody was asked"]
