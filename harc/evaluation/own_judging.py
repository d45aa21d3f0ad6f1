"""Judging a suite's answers: only by judges that have not said anything on them yet, and never by guesses."""

from collections.abc import Sequence
from typing import Any

from harc.core.errors import ModelError
from harc.judges.base import LABELS, UNJUDGED, Answer, Judge
from harc.suites.codeattack import read_answer
from harc.suites.records import decide_unread


def judge_records(
    suite: str, records: Sequence[dict[str, Any]], judges: Sequence[Judge]
) -> list[dict[str, Any]]:
    """The records with every judge's verdict in them, and a label without one where there is nothing to judge.

    Raises:
        ModelError: naming judge and suite, if a judge gives too few verdicts or an unknown label; an answer that it
            cannot read is `unjudged`, which is counted.
    """
    records = [{**record, "verdicts": dict(record.get("verdicts", {}))} for record in records]
    for judge in judges:
        for record in records:
            if label := decide_unread(record["finish_reason"], choose_text(record)):
                record["verdicts"][judge.name] = {"label": label, "score": 1, "version": judge.version}
        due = [record for record in records if _is_due(record, judge)]
        answers = [Answer(r["goal"], choose_text(r), r["expected"] or None) for r in due]
        verdicts = judge.judge(answers) if answers else []
        if len(verdicts) != len(due):
            raise _refuse(judge, suite, f"{len(due)} verdicts", str(len(verdicts)))
        for record, verdict in zip(due, verdicts, strict=True):
            if verdict.label not in (*LABELS, UNJUDGED):
                raise _refuse(
                    judge, f"{suite}: {record['id']}", " or ".join((*LABELS, UNJUDGED)), repr(verdict.label)
                )
            own = {} if verdict.own is None else {"own": verdict.own}
            record["verdicts"][judge.name] = {
                "label": verdict.label, "score": verdict.score, "version": judge.version, **own
            }  # fmt: skip
    return records


def _is_due(record: dict[str, Any], judge: Judge) -> bool:
    """Whether a judge has not said anything readable of an answer yet: it may have been away."""
    held = record["verdicts"].get(judge.name, {})
    if held.get("version") != judge.version:
        return True
    return held["label"] == UNJUDGED and decide_unread(record["finish_reason"], choose_text(record)) is None


def choose_text(record: dict[str, Any]) -> str:
    """What is judged of an answer: of a program that was asked to fill a list, what it puts there."""
    return read_answer(record["response"]) if record.get("read_outputs") else record["response"]


def _refuse(judge: Judge, where: str, expected: str, found: str) -> ModelError:
    return ModelError(
        f"judge {judge.name} on {where}",
        expected=expected,
        found=found,
        fix="use another judge; the answers are kept, so the same command only judges",
    )


def holds_expected(record: dict[str, Any]) -> bool:
    """Whether the answer holds the expected text, whatever the case and spaces."""
    return " ".join(record["expected"].lower().split()) in " ".join(record["response"].lower().split())
