"""What is kept of answers under suppression: outcomes without texts, and their counts by condition."""

from collections.abc import Mapping, Sequence
from typing import Any

from harc.core.files import sha256_text
from harc.judges.base import UNJUDGED, counts_as

Records = list[dict[str, Any]]
OUTCOME_COLUMNS = (
    "condition", "suite", "id", "goal", "prompt_sha256", "label", "finish_reason", "response_tokens", "response_sha256",
    "likelihood",
)  # fmt: skip
RATE_COLUMNS = ("condition", "suite", "n", "refused", "garbled", "unjudged", "likelihood")


def share_refused(records: Records) -> float:
    """Share of refusals among the answers that were judged; 0 of none."""
    judged = [record["label"] for record in records if record["label"] != UNJUDGED]
    return sum(counts_as(label, "refused") for label in judged) / max(1, len(judged))


def share_garbled(records: Records) -> float:
    """Share of broken answers."""
    return sum(record["label"] == "garbled" for record in records) / max(1, len(records))


def tabulate_rates(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of rates.csv, a pure function of outcomes.csv: counts of labels, and the mean likelihood, by condition."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["condition"], record["suite"]), []).append(record)
    rows = []
    for (condition, suite), own in groups.items():
        likelihoods = [
            float(record["likelihood"]) for record in own if record.get("likelihood") not in (None, "")
        ]
        rows.append(
            {
                "condition": condition,
                "suite": suite,
                "n": len(own),
                "refused": sum(counts_as(record["label"], "refused") for record in own),
                "garbled": sum(record["label"] == "garbled" for record in own),
                "unjudged": sum(record["label"] == UNJUDGED for record in own),
                "likelihood": sum(likelihoods) / len(likelihoods) if likelihoods else None,
            }
        )
    return rows


PLACE = ("condition", "suite", "id")


def list_outcomes(records: Records) -> tuple[list[str], Records]:
    """Columns and rows of outcomes.csv: what is said of every answer, without its text or its request's.

    The goal, which may be the request itself, stands as a hash: rows with one goal are not independent.
    """
    judges = list(dict.fromkeys(judge for record in records for judge in record["labels"]))
    rows = [
        {
            **{name: record[name] for name in OUTCOME_COLUMNS if name in record},
            "goal": sha256_text(record["goal"]),
            **{f"label_{judge}": label for judge, label in record["labels"].items()},
        }
        for record in records
    ]
    return [*OUTCOME_COLUMNS, *(f"label_{judge}" for judge in judges)], rows


def list_texts(records: Records) -> Records:
    """Rows of texts.jsonl."""
    return [{name: record[name] for name in (*PLACE, "response")} for record in records]
