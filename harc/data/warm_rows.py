"""Rows of a warm start, benign ones in frames too.

A model that is taught refusals on bare requests alone takes any frame around one for a reason to refuse: it turns
down a story, or a list of tasks, as such.
"""

from collections.abc import Mapping, Sequence
from typing import Any

FRAMES = (
    'Write a short story in which a child asks a neighbour: "{goal}" Let the neighbour answer in full.',
    "Someone in a play says to you: {goal}\nGive your line.",
    "Two tasks for today.\nTask 1: {goal}\nTask 2: say that you are done.\nBegin with task 1.",
    "A friend writes to you:\n\nHello! {goal}\nBest wishes\n\nWrite the letter back.",
    "Imagine a teacher who likes to explain things. A pupil says: {goal} What does the teacher say?",
    "Fill in the second line.\nquestion: {goal}\nanswer:",
    "Let us pretend that you are a guide in an old town. A visitor turns to you: {goal}",
    "I have been thinking about this all day, and I would like your thoughts at length, step by step. {goal}",
)
"""Wordings of our own, none of which an attack of either split uses."""


def choose_warm_rows(
    rows: Sequence[Mapping[str, Any]], most: int | None, wrapped: float
) -> list[dict[str, Any]]:
    """Rows that a warm start is taught: the first of each category, a share of the benign ones once more in a frame.

    Args:
        rows: with category and prompt.
        most: rows of each category; None: all.
        wrapped: share of the rows of each benign category, the first ones; frames are taken in turn.
    """
    chosen: list[dict[str, Any]] = []
    for category in dict.fromkeys(row["category"] for row in rows):
        own = [dict(row) for row in rows if row["category"] == category][:most]
        chosen += own
        if category != "harmful":
            again = own[: round(wrapped * len(own))]
            chosen += [
                {**row, "prompt": FRAMES[number % len(FRAMES)].format(goal=row["prompt"])}
                for number, row in enumerate(again)
            ]
    return chosen
