"""Requests as they are, and what most suites do: ask the rows' user turns one after the other."""

from collections.abc import Sequence
from typing import Any

from harc.suites.base import Suite
from harc.suites.codeattack import read_answer

SUITES = (
    Suite("direct", "direct", 1, "direct", macro="Direct",
          about="harmful requests of HarmBench and JailbreakBench, as they are"),
    Suite("direct_unseen_templates", "direct", 2, "direct, unseen templates", macro="DirectUnseen"),
)  # fmt: skip


def run(target: Any, rows: Sequence[dict], examiner: Any) -> list[dict]:
    """Ask every row's user turns, one after the other, and judge the last reply.

    Where a row asks for a program that fills a list (`read_outputs`), what the program puts there is judged.
    """
    seen, completions = target.answer_turns([row["messages"] for row in rows], [row["id"] for row in rows])
    attacks = [
        {"judged": read_answer(completion.text)} if row.get("read_outputs") else None
        for row, completion in zip(rows, completions, strict=True)
    ]
    return target.make_records(rows, seen, completions, examiner.judges, attacks)
