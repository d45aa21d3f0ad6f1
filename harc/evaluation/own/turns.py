"""Conversations and tools in the cells of a prompt file: JSON lists, read and checked."""

import json
from collections.abc import Sequence
from typing import Any

from harc.core.untrusted import parse_json
from harc.evaluation.agents.judging import WATCHED
from harc.suites.records import is_blank
from harc.suites.rows import LONGEST_PROMPT

ROLES = ("system", "user", "assistant", "tool")
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


def read_turns(cell: Any) -> list[dict[str, Any]]:
    """The turns of a conversation: perhaps a system prompt, then user, assistant and tool; the last is no assistant's.

    Args:
        cell: a list of objects with role and content, or its JSON text. Content is a text, or a list of parts that
            are all texts; an assistant's may have tool_calls in OpenAI's form, whose results are the next turns.

    Returns:
        Turns with role and content; tool_calls (id, type, function with name and arguments as an object) where there
        are some; of tools also name and tool_call_id.

    Raises:
        CellFault: for anything else.
    """
    turns: list[dict[str, Any]] = []
    open_calls: list[tuple[str, str]] = []
    for place, item in enumerate(_read_list(cell, "turns with role and content", MOST_TURNS), start=1):
        role, rest = item.get("role"), {name for name, value in item.items() if value is not None}
        if role not in ROLES:
            raise CellFault(f"roles among {', '.join(ROLES)}", f"{str(role)[:40]!r} in turn {place}")
        further = {"assistant": {"tool_calls"}, "tool": {"tool_call_id", "name"}}.get(role, set())
        if other := sorted(rest - {"role", "content"} - further):
            raise CellFault("turns with role and content alone", f"{other[0][:40]!r} in turn {place}")
        if role == "system" and place > 1:
            raise CellFault("a system prompt as the first turn", f"one as turn {place}")
        if open_calls and role != "tool":
            raise CellFault(
                "a result for every call", f"turn {place} by the {role} before that of {open_calls[0][1]!r}"
            )
        turn = {"role": role}
        calls = item.get("tool_calls")
        turn["content"] = (
            "" if calls and not item.get("content") else _read_content(item.get("content"), place)
        )
        if calls:
            turn["tool_calls"] = [
                _read_call(call, place, number)
                for number, call in enumerate(_read_list(calls, "calls", MOST_TOOLS))
            ]
            open_calls = [(call["id"], call["function"]["name"]) for call in turn["tool_calls"]]
        if role == "tool":
            turn["tool_call_id"], turn["name"] = _close_call(open_calls, item, place)
        turns.append(turn)
    if turns[-1]["role"] not in ("user", "tool"):
        raise CellFault("a last turn by the user", f"one by the {turns[-1]['role']}")
    if open_calls:
        raise CellFault("a result for every call", f"none for {open_calls[0][1]!r}")
    if sum(len(turn["content"]) for turn in turns) > LONGEST_PROMPT:
        raise CellFault(f"at most {LONGEST_PROMPT} characters in all turns", "more")
    return turns


def _read_call(call: Any, place: int, number: int) -> dict[str, Any]:
    """A call in OpenAI's form, its arguments as an object."""
    function = call.get("function") if isinstance(call, dict) else None
    function = function if isinstance(function, dict) else {}
    name = function.get("name")
    if not isinstance(name, str) or is_blank(name) or find_control(name, ""):
        raise CellFault("calls with function and name", f"another one in turn {place}")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = parse_json(arguments or "{}")
        except ValueError as problem:
            raise CellFault("arguments as a JSON object", f"{problem} in turn {place}") from None
    if not isinstance(arguments, dict):
        raise CellFault("arguments as a JSON object", f"{type(arguments).__name__} in turn {place}")
    call_id = (
        call.get("id") or f"call{place:03d}{number % 100:02d}"
    )  # nine signs, as Mistral's template wants
    return {"id": str(call_id), "type": "function", "function": {"name": name, "arguments": arguments}}


def _close_call(open_calls: list[tuple[str, str]], item: dict[str, Any], place: int) -> tuple[str, str]:
    """Id and name of the call that a tool's turn answers: the one that it names, else the first without a result."""
    wanted = item.get("tool_call_id")
    found = next((call for call in open_calls if wanted in (None, call[0])), None)
    if found is None:
        raise CellFault("a tool's turn behind its call", f"one without it as turn {place}")
    open_calls.remove(found)
    return found


def read_patterns(cell: Any, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """What the calls of an answer mean: by harmful, expected or injected a list of {name, arguments}.

    Args:
        cell: an object, or its JSON text; arguments may be left out, or name some.
        names: of the row's tools.

    Raises:
        CellFault: for anything else, or a tool that the row does not have.
    """
    if isinstance(cell, str):
        try:
            cell = parse_json(cell)
        except ValueError as problem:
            raise CellFault("a JSON object with harmful, expected or injected", str(problem)) from None
    if not isinstance(cell, dict) or not cell or cell.keys() - {*WATCHED}:
        raise CellFault("a JSON object with harmful, expected or injected", repr(cell)[:60])
    for kind, patterns in cell.items():
        for one in _read_list(patterns, f"calls with name ({kind})", MOST_TOOLS):
            if one.get("name") not in names or one.keys() - {"name", "arguments"}:
                raise CellFault(f"calls of the row's tools ({', '.join(names)[:60]})", repr(one)[:60])
            if not isinstance(one.get("arguments", {}), dict):
                raise CellFault("arguments as an object", repr(one["arguments"])[:60])
    return cell


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


def describe_turns(turns: Sequence[dict[str, Any]]) -> str:
    """What makes two conversations the same: their turns, without space around them."""
    if len(turns) == 1:
        return turns[0]["content"].strip()
    return "\x00".join(
        f"{turn['role']}\x00{turn['content'].strip()}{json.dumps(turn['tool_calls']) if 'tool_calls' in turn else ''}"
        for turn in turns
    )
