"""Prefill: the reply begins with words that are put into the model's mouth."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harc.core.files import sha256_text
from harc.suites.base import Suite

SUITES = (Suite("prefill", "extra_attack", 2, "prefill", plain=True),)


def choose_opening(name: str, openings: Sequence[str]) -> int:
    """Which of the openings a row's reply begins with: in turn by the number that ends its id, else by its hash."""
    number = re.search(r"\d+$", name)
    return int(number[0] if number else sha256_text(name)[:8], 10 if number else 16) % len(openings)


def run(target: Any, rows: Sequence[dict], examiner: Any) -> list[dict]:
    """Ask each row with the reply's first words given; the response holds them, and what follows is judged."""
    settings, split = target.settings.prefill, target.settings.split
    openings = settings.openings if split == "evaluation" else settings.development_openings
    numbers = [choose_opening(row["id"], openings) for row in rows]
    conversations = [row["messages"] for row in rows]
    completions: dict[int, Any] = {}
    for number, opening in enumerate(openings):
        places = [place for place, chosen in enumerate(numbers) if chosen == number]
        if places:
            replies = target.answer(
                [conversations[place] for place in places], [rows[place]["id"] for place in places], opening
            )
            completions |= dict(zip(places, replies, strict=True))
    given = [openings[number] for number in numbers]
    whole = [
        replace(completions[place], text=text + completions[place].text) for place, text in enumerate(given)
    ]
    attacks = [{"opening": text, "judged": completions[place].text} for place, text in enumerate(given)]
    worded = [
        row | {"template": f"prefill:{split}-{number}"} for row, number in zip(rows, numbers, strict=True)
    ]
    return target.make_records(worded, conversations, whole, examiner.judges, attacks)
