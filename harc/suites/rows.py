"""Rows of suites: reading them, and putting a goal into a suite's form."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.files import read_jsonl
from harc.settings.suites import AttackForms
from harc.suites.benign import FORMS
from harc.suites.pap import Technique
from harc.suites.records import make_user_turn
from harc.suites.registry import SUITES, Suite


def wrap_goal(suite: Suite, goal: str, split: str, index: int, forms: AttackForms) -> tuple[str, str]:
    """(prompt, form) of a goal under an attack with fixed wording.

    Args:
        suite: one with `wrap`.
        goal: the request.
        split: development and evaluation have different wording.
        index: the goal's number; variants are taken in turn.
        forms: the attacks' settings; an attack without a group of its own gets all of them.
    """
    assert suite.wrap is not None
    return suite.wrap(goal, split, index, getattr(forms, suite.settings or suite.name, forms))


def make_prompts(
    suite: str, goal: str, split: str, index: int, forms: AttackForms, techniques: Sequence[Technique]
) -> list[dict[str, Any]]:
    """What the rows of one goal in one suite hold besides their names: several rows for PAP, else one."""
    own, plain = SUITES[suite], make_user_turn(goal)
    if own.spread:
        return own.spread(plain, techniques)
    if own.plain:
        return [{"messages": plain, "template": suite}]
    form = SUITES[FORMS[index % len(FORMS)]] if suite == "wrapped_benign" else own
    if form.wrap is None:
        return [{"messages": plain}]
    text, template = wrap_goal(form, goal, split, index, forms)
    row: dict[str, Any] = {"messages": make_user_turn(text), "template": template}
    return [row | ({"read_outputs": True} if form.read_outputs else {})]


REQUIRED = ("id", "suite", "category", "messages", "expected")
LONGEST_PROMPT = 200_000  # characters; more is a damaged file, not a prompt


def read_rows(path: Path | str, suites: Sequence[str]) -> dict[str, list[dict]]:
    """Rows of the given suites, by suite, in file order.

    Raises:
        DataError: naming file and line, for a missing field, a repeated id, a message that is no user turn
            with text in it, or a control character; naming the suite, if it has no rows.
    """
    path = Path(path)
    rows: dict[str, list[dict]] = {suite: [] for suite in suites}
    seen: dict[str, int] = {}
    for number, row in enumerate(read_jsonl(path, REQUIRED), start=1):
        place = f"{path}:{number}"
        if row["id"] in seen:
            raise DataError(
                place,
                expected="an id of its own",
                found=f"{row['id']}, which line {seen[row['id']]} has too",
                fix="remove or rename one of them",
            )
        seen[row["id"]] = number
        if row["suite"] in rows:
            check_messages(row["messages"], place)
            rows[row["suite"]].append(row)
    for suite, members in rows.items():
        if not members:
            raise DataError(
                str(path),
                expected=f"rows of suite {suite}",
                found="none",
                fix="add them, or take the suite out of evaluation.suites",
            )
    return rows


def check_messages(messages: object, place: str) -> None:
    """Refuse anything but a list of user turns with printable text in each.

    Raises:
        DataError: saying what is wrong with the first bad message.
    """
    found = None
    if not isinstance(messages, list) or not messages:
        found = "no list of messages"
    else:
        for message in messages:
            found = found or describe_fault(message)
    if found:
        raise DataError(
            place,
            expected="'messages' with user turns of printable text",
            found=found,
            fix="mend or remove the row",
        )


def describe_fault(message: object) -> str | None:
    """What is wrong with one message, or None."""
    if not isinstance(message, dict) or message.get("role") != "user":
        return "a message that is no user turn"
    text = message.get("content")
    if not isinstance(text, str) or not text.strip():
        return "an empty message"
    if len(text) > LONGEST_PROMPT:
        return f"a message of {len(text)} characters"
    control = next((c for c in text if ord(c) < 32 and c not in "\n\t\r"), None)
    return None if control is None else f"the control character U+{ord(control):04X}"
