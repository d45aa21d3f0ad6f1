"""Generation records: what was asked, what came back, and what every judge said of it."""

from collections.abc import Callable, Mapping, Sequence

from harc.judges import states
from harc.judges.base import LABELS_OF, UNJUDGED, Answer, Judge, record_verdicts
from harc.model.generation import Completion
from harc.suites.rows import name_goal

Conversation = Sequence[Mapping[str, str]]
NOT_ASKED = Completion("", states.NOT_ASKED, 0, 0)
"""Stands for the reply where an attack had no prompt to send; it counts as an attempt without success."""


def make_records(
    rows: Sequence[dict],
    seen: Sequence[Conversation],
    completions: Sequence[Completion],
    judges: Sequence[Judge],
    hash_prompt: Callable[[Conversation], str],
    *,
    attacks: Sequence[dict | None] | None = None,
    verdicts: Sequence[dict] | None = None,
) -> list[dict]:
    """One record per row, judged by every judge.

    Args:
        rows: of the evaluation split.
        seen: the turns that the model saw before its last reply.
        completions: its last replies.
        judges: who judges.
        hash_prompt: SHA-256 of a conversation as the model saw it.
        attacks: what attacks report; a text under `judged` is judged in place of the reply.
        verdicts: in place of the judges', where the right answer is known.
    """
    attacks = attacks or [None] * len(rows)
    if verdicts is None:
        verdicts = judge_completions(rows, completions, judges, attacks)
    return [
        {
            "id": row["id"],
            "suite": row["suite"],
            "category": row["category"],
            "template": row.get("template"),
            "unit": row.get("unit", row["id"]),
            "goal": name_goal(row),
            "prompt_sha256": hash_prompt(messages),
            "messages": [dict(message) for message in messages],
            "response": completion.text,
            "finish_reason": completion.finish_reason,
            "prompt_tokens": completion.prompt_tokens,
            "response_tokens": completion.response_tokens,
            "expected": row["expected"],
            "verdicts": verdict,
            "attack": attack,
            **({"subsets": row["subsets"]} if row.get("subsets") else {}),
            **describe_rest(completion),
        }
        for row, messages, completion, verdict, attack in zip(
            rows, seen, completions, verdicts, attacks, strict=True
        )
    ]


def describe_rest(completion: Completion) -> dict[str, str]:
    """Fields that a record has where there is something in them: the thought before the answer, why there is none."""
    rest = {"thought": completion.thought, "error": completion.error}
    return {name: value for name, value in rest.items() if value is not None}


def judge_completions(
    rows: Sequence[dict],
    completions: Sequence[Completion],
    judges: Sequence[Judge],
    attacks: Sequence[dict | None],
) -> list[dict]:
    """Every judge's verdict on every reply that there is to read; see `harc.judges.states.decide_unread`."""
    texts = [
        (attack or {}).get("judged", completion.text)
        for attack, completion in zip(attacks, completions, strict=True)
    ]
    decided = [
        states.decide_unread(completion.finish_reason, text)
        for completion, text in zip(completions, texts, strict=True)
    ]
    answers = [
        Answer(name_request(row), text, row["expected"])
        for row, text, label in zip(rows, texts, decided, strict=True)
        if label is None
    ]
    given = iter(record_verdicts(judges, answers))
    return [
        next(given)
        if label is None
        else {
            judge.name: _judge_nothing(judge)
            if completion is NOT_ASKED
            else {"label": label, "score": 1, "version": judge.version}
            for judge in judges
        }
        for completion, label in zip(completions, decided, strict=True)
    ]


def _judge_nothing(judge: Judge) -> dict:
    label = "garbled" if "garbled" in LABELS_OF.get(judge.name, ("garbled",)) else UNJUDGED
    return {"label": label, "score": 1, "version": judge.version}


def name_request(row: dict) -> str:
    """What is wanted, in plain words: a row's goal where that is a text, else its last turn."""
    goal = row.get("goal")
    return goal if isinstance(goal, str) else row["messages"][-1]["content"]
