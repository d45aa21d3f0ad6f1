"""Prefill: the reply begins with words that are put into the model's mouth."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harc.core.files import sha256_text
from harc.suites.base import Suite

if TYPE_CHECKING:
    from harc.settings.evaluation import EvaluationSettings

SUITES = (Suite("prefill", "extra_attack", 2, "prefill", plain=True),)


def choose_opening(name: str, openings: Sequence[str]) -> int:
    """Which of the openings a row's reply begins with: in turn by the number that ends its id, else by its hash."""
    number = re.search(r"\d+$", name)
    return int(number[0] if number else sha256_text(name)[:8], 10 if number else 16) % len(openings)


def choose_openings(rows: Sequence[dict], settings: "EvaluationSettings") -> list[tuple[str, str]]:
    """Opening and form of each row: a row's own, else one of the settings'."""
    own, split = settings.prefill, settings.split
    openings = own.openings if split == "evaluation" else own.development_openings
    numbers = [choose_opening(row["id"], openings) for row in rows]
    return [
        (row["opening"], row["template"])
        if row.get("opening")
        else (openings[number], f"prefill:{split}-{number}")
        for row, number in zip(rows, numbers, strict=True)
    ]


def run(target: Any, rows: Sequence[dict], examiner: Any) -> list[dict]:
    """Ask each row with the reply's first words given; the response holds them, and what follows is judged."""
    chosen = choose_openings(rows, target.settings)
    conversations = [row["messages"] for row in rows]
    completions: dict[int, Any] = {}
    for opening in dict.fromkeys(text for text, _ in chosen):
        places = [place for place, (text, _) in enumerate(chosen) if text == opening]
        replies = target.answer(
            [conversations[place] for place in places], [rows[place]["id"] for place in places], opening
        )
        completions |= dict(zip(places, replies, strict=True))
    whole = [
        replace(completions[place], text=text + completions[place].text)
        for place, (text, _) in enumerate(chosen)
    ]
    attacks = [{"opening": text, "judged": completions[place].text} for place, (text, _) in enumerate(chosen)]
    worded = [row | {"template": form} for row, (_, form) in zip(rows, chosen, strict=True)]
    return target.make_records(worded, conversations, whole, examiner.judges, attacks)
