"""Rows of an evaluation split: read, checked, and grouped by suite."""

from collections.abc import Sequence
from pathlib import Path

from harc.core.errors import DataError
from harc.core.files import read_jsonl

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
