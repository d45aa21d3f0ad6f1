"""Reading a JSON object of texts out of a chat model's reply, with the repairs that such replies often need.

PAIR's published reader cuts at the first closing brace, also inside a text, and drops what is not plain JSON
(patrickrchao/JailbreakingLLMs@6379ef7); here braces in texts count as text.
"""

import re
from collections.abc import Sequence

from harc.core.untrusted import parse_json


def _scan(text: str) -> tuple[str, bool, bool]:
    """(object's text up to its closing brace or the end, whether a string is open, whether a backslash is)."""
    depth, in_string, escaped = 0, False, False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif in_string:
            escaped = character == "\\"
            in_string = character != '"'
        elif character == '"':
            in_string = True
        elif character in "{}":
            depth += 1 if character == "{" else -1
            if depth == 0:
                return text[: place + 1], False, False
    return text, in_string, escaped


def _candidates(text: str) -> list[str]:
    """The object as it is, then with its end put on, then without trailing commas."""
    body, in_string, escaped = _scan(text)
    closed = (body[:-1] if escaped else body) + ('"' if in_string else "")
    if not closed.rstrip().endswith("}"):
        closed = closed.rstrip().rstrip(",") + "}"
    return [body, closed, re.sub(r",\s*}", "}", closed)]


def read_object(reply: str, fields: Sequence[str]) -> dict[str, str] | None:
    """The named texts of the first JSON object in a reply; None if it holds none with all of them.

    Repaired are: text around the object, code fences, line breaks inside texts, trailing commas, an end that is
    missing because the reply broke off.
    """
    for start in [match.start() for match in re.finditer(r"\{", reply)][:8]:
        for candidate in _candidates(reply[start:]):
            try:
                found = parse_json(candidate, replace_lone=True, line_breaks=True)
            except ValueError:
                continue
            if isinstance(found, dict) and all(
                isinstance(found.get(name), str) and found[name].strip() for name in fields
            ):
                return {name: found[name].strip() for name in fields}
    return None
