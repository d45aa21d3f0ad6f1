"""Calls of tools in what a model says, and which of them a row watches for.

Only what a program that runs tools would run is a call: JSON that can be read, of an offered tool, in a form that
models are trained on, and not quoted in a code fence. transformers' response templates read the first form too, but
raise for broken JSON and see no fences (docs/decisions.md).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harc.core.untrusted import parse_json

OPENING, CLOSING = "<tool_call>", "</tool_call>"
"""Marks around a call of Hermes, Qwen2.5 and Qwen3 (their chat templates)."""
PREFIXES = ("<|python_tag|>", "[TOOL_CALLS]")
"""What Llama 3.1 and Mistral may write before a message that is nothing but calls; decoding drops them as a rule."""
FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n.*?^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)
_DECODER = json.JSONDecoder()
Offered = Mapping[str, frozenset[str]]
"""Names of tools, and the parameters of which a call must have one; see `list_offered`."""


@dataclass(frozen=True)
class Call:
    """A call of an offered tool."""

    name: str
    arguments: dict[str, Any]


@dataclass
class Said:
    """What a model said, taken apart.

    Attributes:
        text: what is outside of calls; code fences stay in it.
        calls: in order.
        broken: calls that nothing could run: JSON that is none, no such tool, arguments that are no object.
        quoted: offered tools that are named as in a call inside a code fence.
    """

    text: str
    calls: list[Call] = field(default_factory=list)
    broken: int = 0
    quoted: int = 0


def read_calls(text: str, offered: Offered) -> Said:
    """Take a message apart.

    A call is an object with name, and arguments or parameters: behind <tool_call>, wherever that stands outside of
    closed code fences, or a message that begins with such an object and is nothing but such objects (Llama 3.1).

    Args:
        text: the message, without a thought.
        offered: see `list_offered`.
    """
    named = re.compile(rf'"name"\s*:\s*"(?:{"|".join(map(re.escape, sorted(offered))) or "(?!)"})"')
    fences = [found.group() for found in FENCE.finditer(text)]
    said = Said("", quoted=sum(len(named.findall(fence)) for fence in fences))
    outside = FENCE.sub(lambda found: "\0" * len(found.group()), text)
    kept, place = [], 0
    while (start := outside.find(OPENING, place)) >= 0:
        kept.append(text[place:start])
        place = _read_tagged(outside, start + len(OPENING), offered, said)
    kept.append(text[place:])
    said.text = "".join(kept)
    if not (said.calls or said.broken):
        _read_bare(outside, offered, said)
    return said


def _read_tagged(text: str, start: int, offered: Offered, said: Said) -> int:
    """Note the call behind an opening mark; where it ends."""
    value, end = _decode(text, start)
    call = None if value is None else make_call(value, offered)
    close = text.find(CLOSING, start if value is None else end)
    if call is not None:
        said.calls.append(call)
        return close + len(CLOSING) if close >= 0 and not text[end:close].strip() else end
    said.broken += 1
    if close >= 0:
        return close + len(CLOSING)
    return len(text) if text[start:].lstrip().startswith("{") else start


def _read_bare(text: str, offered: Offered, said: Said) -> None:
    """Note the calls of a message that is nothing but calls; any other stays as it is."""
    rest = text.strip()
    for prefix in PREFIXES:
        rest = rest.removeprefix(prefix).lstrip()
    if not rest.startswith(("{", "[")):
        return
    found: list[Any] = []
    place = 0
    while place < len(rest):
        value, end = _decode(rest, place)
        if value is None:
            break
        found += value if isinstance(value, list) else [value]
        place = end + len(rest[end:]) - len(rest[end:].lstrip(" \t\r\n;,"))
    meant = [value for value in found if isinstance(value, dict) and _name_of(value) is not None]
    if place < len(rest) or not found or len(meant) < len(found):
        said.broken += bool(re.match(r'[\[{\s]*"(?:name|type|function)"\s*:', rest))
        return
    calls = [make_call(value, offered) for value in meant]
    said.calls += [call for call in calls if call is not None]
    said.broken += calls.count(None)
    said.text = ""


def _decode(text: str, start: int) -> tuple[Any, int]:
    """The JSON value at a place, read strictly, and where it ends; None where there is none."""
    start += len(text[start:]) - len(text[start:].lstrip())
    try:
        _, end = _DECODER.raw_decode(text, start)
        return parse_json(text[start:end]), end
    except (ValueError, RecursionError):
        return None, start


def _name_of(value: Mapping[str, Any]) -> str | None:
    inner = value.get("function", value)
    name = inner.get("name") if isinstance(inner, Mapping) else inner
    return name if isinstance(name, str) else None


def make_call(value: Any, offered: Offered) -> Call | None:
    """A call from its JSON object; None for another tool, or arguments that are no object or none of the tool's."""
    inner = value.get("function", value) if isinstance(value, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if inner is None or not isinstance(name, str) or name not in offered:
        return None
    arguments = inner.get("arguments", inner.get("parameters", {}))
    if isinstance(arguments, str):  # OpenAI's form
        try:
            arguments = parse_json(arguments or "{}")
        except ValueError:
            return None
    if not isinstance(arguments, Mapping):
        return None
    declared = offered[name]
    return Call(name, dict(arguments)) if not declared or declared & arguments.keys() else None


def list_offered(tools: Sequence[Mapping[str, Any]]) -> Offered:
    """The parameters of each tool that needs some, by its name: a call without any of them is a schema said again."""
    found = {}
    for tool in tools:
        schema = tool["function"].get("parameters") or {}
        properties = schema.get("properties")
        declared = properties if schema.get("required") and isinstance(properties, Mapping) else {}
        found[tool["function"]["name"]] = frozenset(declared)
    return found


def list_names(tools: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of tools in the form that chat templates are given."""
    return [tool["function"]["name"] for tool in tools]


def matches_call(call: Call, pattern: Mapping[str, Any]) -> bool:
    """Whether a call is one that a row watches for: the same tool, and every argument that the pattern names.

    Texts match where the call's holds the pattern's, whatever the case, spaces and signs; other values where they are
    equal.
    """
    wanted = pattern.get("arguments", {})
    return call.name == pattern["name"] and all(
        name in call.arguments and _holds(call.arguments[name], value) for name, value in wanted.items()
    )


def _holds(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return _make_plain(wanted) in _make_plain(given if isinstance(given, str) else json.dumps(given))
    return isinstance(given, bool) == isinstance(wanted, bool) and given == wanted


def _make_plain(text: str) -> str:
    return " ".join(re.split(r"[\W_]+", text.casefold())).strip()
