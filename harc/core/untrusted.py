"""Text that this project did not write: read strictly, shown harmlessly.

Model output, server bodies, file names, headers of other people's files and artifacts all pass through here before
they are believed or shown; nothing else in the project parses such JSON, or escapes text for a terminal or a table.
"""

import json
import math
from typing import Any, no_type_check

MOST_DIGITS = 400
"""Digits of a number in JSON; the longest float has about 310."""
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet run a cell (OWASP, CSV injection)."""


def parse_json(text: str, *, replace_lone: bool = False, line_breaks: bool = False) -> Any:
    """The value of a JSON text, or the reason why it is none, always as one kind of error.

    Stricter than the standard library: a key given twice, NaN and infinities, numbers too long or too large for a
    float, nesting too deep for this interpreter, and lone surrogates (which no UTF-8 file can hold) are refused.

    Args:
        text: the text.
        replace_lone: for answers: put U+FFFD in place of lone surrogates instead.
        line_breaks: for answers of models: allow line breaks and tabs inside strings.

    Raises:
        ValueError: with what is wrong in one line.
    """
    try:
        value = (_LENIENT if line_breaks else _DECODER).decode(text)
    except RecursionError:
        raise ValueError("values nested too deep") from None
    except json.JSONDecodeError as problem:
        raise ValueError(f"{problem.msg} at line {problem.lineno}, column {problem.colno}") from None
    if "\\u" in text or not is_encodable(text):
        if replace_lone:
            return _replace_all(value)
        _refuse_surrogates(value)
    return value


def _replace_all(value: Any) -> Any:
    try:
        if isinstance(value, str):
            return replace_surrogates(value)
        if isinstance(value, list):
            return [_replace_all(item) for item in value]
        if isinstance(value, dict):
            return {replace_surrogates(key): _replace_all(item) for key, item in value.items()}
    except RecursionError:
        raise ValueError("values nested too deep") from None
    return value


# Called for every value of a file: the check of types that tests put on each call would take minutes.
@no_type_check
def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {escape_control(twice)!r} given twice")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which JSON does not have")


@no_type_check
def _read_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


@no_type_check
def _read_float(digits: str) -> float:
    value = float(digits)
    if len(digits) > MOST_DIGITS or not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]}, which no float can hold")
    return value


# Made once: a file of records asks for it a thousand times.
_DECODER, _LENIENT = (
    json.JSONDecoder(
        object_pairs_hook=_make_object,
        parse_constant=_refuse_constant,
        parse_int=_read_int,
        parse_float=_read_float,
        strict=strict,
    )
    for strict in (True, False)
)


def _refuse_surrogates(value: Any) -> None:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str) and not is_encodable(item):
            raise ValueError(f"a lone surrogate in {escape_control(item[:40])!r}")
        if isinstance(item, dict):
            waiting += [*item, *item.values()]
        elif isinstance(item, list):
            waiting += item


def is_encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: not so with a lone surrogate in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD in place of every lone surrogate: for answers, which are kept whatever they are."""
    return text if is_encodable(text) else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def escape_control(text: str) -> str:
    """Text with every character shown that could steer a terminal or hide text (controls, direction marks)."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def escape_lines(text: str) -> str:
    """`escape_control` of text in several lines: line breaks stay."""
    return "\n".join(map(escape_control, text.split("\n")))


def neutralise_formula(cell: str) -> str:
    """A text for a CSV cell that no spreadsheet runs: an apostrophe before what it would take for a formula.

    Numbers stay as they are. A text that begins like the outcome of this gets an apostrophe more, so that
    `restore_formula` gives every text back.
    """
    text = cell.lstrip("'")
    if not text.startswith(FORMULA_STARTS):
        return cell
    if text == cell and _is_number(cell):
        return cell
    return f"'{cell}"


def restore_formula(cell: str) -> str:
    """The text that `neutralise_formula` made this cell of."""
    made = cell.startswith("'") and cell.lstrip("'").startswith(FORMULA_STARTS)
    return cell[1:] if made else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
