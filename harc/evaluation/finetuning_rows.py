"""Harmful requests with their harmful answers, from the training split: what a model is fine-tuned on."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from harc.core.errors import DataError


def choose_rows(rows: Sequence[Mapping[str, Any]], count: int, seed: int) -> list[dict[str, Any]]:
    """The first `count` harmful rows in a seeded order, so that a smaller set is part of every larger one.

    The answer of a row is its field `rejected`: what a defence is trained away from. Rows are of the training split,
    which shares no request with any evaluation split.

    Args:
        rows: training.jsonl.
        count: rows wanted.
        seed: of the order.

    Raises:
        DataError: if there are fewer rows with a harmful answer.
    """
    harmful = [row for row in rows if row["category"] == "harmful" and (row.get("rejected") or "").strip()]
    if len(harmful) < count:
        raise DataError(
            "training.jsonl",
            expected=f"{count} harmful rows with an answer in field 'rejected'",
            found=str(len(harmful)),
            fix="lower finetuning.examples, or give more rows",
        )
    order = random.Random(f"{seed}/harmful answers").sample(range(len(harmful)), len(harmful))
    return [
        {
            "id": harmful[index].get("id", f"row {index}"),
            "category": "harmful",
            "prompt": harmful[index]["prompt"],
            "response": harmful[index]["rejected"],
        }
        for index in order[:count]
    ]
