"""Prefill: the reply begins with words that are put into the model's mouth."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harc.suites.base import Suite

SUITES = (Suite("prefill", "extra_attack", 2, "prefill", plain=True),)


def run(target: Any, rows: Sequence[dict], examiner: Any) -> list[dict]:
    """Ask each row with the reply's first words given; the response holds them, and what follows is judged."""
    opening = target.settings.prefill.opening
    conversations = [row["messages"] for row in rows]
    completions = target.answer(conversations, [row["id"] for row in rows], opening)
    whole = [replace(completion, text=opening + completion.text) for completion in completions]
    attacks = [{"opening": opening, "judged": completion.text} for completion in completions]
    return target.make_records(rows, conversations, whole, examiner.judges, attacks)
