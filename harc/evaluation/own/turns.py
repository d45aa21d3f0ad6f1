"""Conversations and tools in the cells of a prompt file: JSON lists, read and checked."""

from collections.abc import Sequence
from typing import Any

from harc.core.untrusted import parse_json
from harc.suites.records import is_blank
from harc.suites.rows import LONGEST_PROMPT

ROLES = ("system", "user", "assistant")
MOST_TURNS, MOST_TOOLS = 200, 128
"""More are a damaged cell, not a conversation."""


class CellFault(ValueError):
    """What is wrong with a cell.

    Attributes:
        expected: what would have been right.
        found: what is there.
    """

    def __init__(self, expected: str, found: str) -> None:
        self.expected, self.found = expected, found
        super().__init__(f"expected {expected}; found {found}")


def find_control(text: str, allowed: str = "\n\t\r") -> str | None:
    """What is unprintable in a text: its first control character, or a byte that was no UTF-8."""
    for char in text:
        code = ord(char)
        if (code < 32 or 127 <= code < 160) and char not in allowed:
            return f"the control character U+{code:04X}"
        if 0xD800 <= code < 0xE000:
            return f"byte {code - 0xDC00:#04x}, which is no UTF-8" if code >= 0xDC80 else "half a character"
    return None


def _read_list(cell: Any, what: str, most: int) -> list[dict[str, Any]]:
    if isinstance(cell, str):
        try:
            cell = parse_json(cell)
        except ValueError as problem:
            raise CellFault(f"a JSON list of {what}", str(problem)) from None
    if not isinstance(cell, list) or not cell:
        raise CellFault(f"a JSON list of {what}", "an empty one" if cell == [] else type(cell).__name__)
    if len(cell) > most:
        raise CellFault(f"at most {most} {what}", str(len(cell)))
    for place, item in enumerate(cell, start=1):
        if not isinstance(item, dict):
            raise CellFault(f"a JSON list of {what}", f"{type(item).__name__} as number {place}")
    return cell


def read_turns(cell: Any) -> list[dict[str, str]]:
    """The turns of a conversation: perhaps a system prompt, then user and assistant; the last is the user's.

    Args:
        cell: a list of objects with role and content, or its JSON text. Content is a text, or a list of parts that
            are all texts.

    Raises:
        CellFault: for anything else.
    """
    turns: list[dict[str, str]] = []
    for place, item in enumerate(_read_list(cell, "turns with role and content", MOST_TURNS), start=1):
        role, rest = item.get("role"), {name for name, value in item.items() if value is not None}
        if role not in ROLES:
            raise CellFault(f"roles among {', '.join(ROLES)}", f"{str(role)[:40]!r} in turn {place}")
        if other := sorted(rest - {"role", "content"}):
            raise CellFault("turns with role and content alone", f"{other[0][:40]!r} in turn {place}")
        if role == "system" and place > 1:
            raise CellFault("a system prompt as the first turn", f"one as turn {place}")
        text = _read_content(item.get("content"), place)
        turns.append({"role": role, "content": text})
    if turns[-1]["role"] != "user":
        raise CellFault("a last turn by the user", f"one by the {turns[-1]['role']}")
    if sum(len(turn["content"]) for turn in turns) > LONGEST_PROMPT:
        raise CellFault(f"at most {LONGEST_PROMPT} characters in all turns", "more")
    return turns


def _read_content(content: Any, place: int) -> str:
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise CellFault("turns of text", f"another part in turn {place}")
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str) or is_blank(content):
        raise CellFault("a text in every turn", f"none in turn {place}")
    if bad := find_control(content):
        raise CellFault("printable text", f"{bad} in turn {place}")
    return content


def read_tools(cell: Any) -> list[dict[str, Any]]:
    """Descriptions of tools, in the form that chat templates are given: {"type": "function", "function": {...}}.

    Args:
        cell: a list of such objects, or of what stands in `function` alone (name, description, parameters as JSON
            schema), or its JSON text.

    Raises:
        CellFault: for anything else, or two tools of one name.
    """
    tools, names = [], set()
    for place, item in enumerate(_read_list(cell, "tools", MOST_TOOLS), start=1):
        tool = item if "function" in item else {"type": "function", "function": item}
        described = tool["function"]
        if not isinstance(described, dict) or not isinstance(described.get("name"), str):
            raise CellFault("a name for every tool", f"none for tool {place}")
        name, parameters = described["name"], described.get("parameters", {})
        if not name or is_blank(name) or name in names:
            raise CellFault("tools with names of their own", f"{name[:40]!r} for tool {place}")
        if not isinstance(parameters, dict):
            raise CellFault(
                "parameters as a JSON schema", f"{type(parameters).__name__} for tool {name[:40]!r}"
            )
        names.add(name)
        tools.append(tool)
    return tools


def describe_turns(turns: Sequence[dict[str, str]]) -> str:
    """What makes two conversations the same: their turns, without space around them."""
    if len(turns) == 1:
        return turns[0]["content"].strip()
    return "\x00".join(f"{turn['role']}\x00{turn['content'].strip()}" for turn in turns)
