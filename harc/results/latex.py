"""Text and numbers made safe and uniform for LaTeX."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence, Set

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "–": "--",
    "—": "---",
    "’": "'",
    "‘": "`",
    "“": "``",
    "”": "''",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
}
MISSING = "n/a"
UNDEFINED = "undef."


def show_controls(text: str) -> str:
    """Control, format and surrogate characters as visible U+XXXX marks; tabs and newlines become spaces."""
    shown = []
    for character in text:
        if character in "\t\n\r":
            shown.append(" ")
        elif unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            shown.append(f"[U+{ord(character):04X}]")
        else:
            shown.append(character)
    return "".join(shown)


def escape_latex(text: str) -> str:
    """Text that LaTeX typesets literally; characters outside Latin-1 become U+XXXX marks."""
    escaped = []
    for character in show_controls(str(text)):
        if character in _SPECIAL:
            escaped.append(_SPECIAL[character])
        elif ord(character) < 0x180:
            escaped.append(character)
        else:
            escaped.append(f"[U+{ord(character):04X}]")
    return "".join(escaped)


def make_breakable(escaped: str) -> str:
    """Let long dotted names and values break where a reader would."""
    return re.sub(r"(\\_|[/@]|\.(?=[A-Za-z]))", r"\1\\allowbreak{}", escaped)


def is_missing(value: float | None) -> bool:
    """True for None and NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def name_missing(value: float | None) -> str:
    """What stands in a cell without a number: it was not measured, or its measurement gave none."""
    return MISSING if value is None else UNDEFINED


def format_rate(value: float | None, digits: int = 2) -> str:
    """A rate as `.47`, `1.00`, `-.03`, as in the published table; missing values as `n/a`, NaN as `undef.`."""
    if is_missing(value):
        return name_missing(value)
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def format_number(value: float | None, digits: int = 2) -> str:
    """A rate or a coefficient; a negative one in mathematics, so that its minus sign is right."""
    text = format_rate(value, digits)
    return f"${text}$" if text.startswith("-") else text


def format_signed(value: float | None, digits: int = 2) -> str:
    """A difference with its sign, as LaTeX mathematics: `$-.12$`."""
    if is_missing(value):
        return name_missing(value)
    text = format_rate(value, digits)
    sign = "" if text.startswith("-") or float(text) == 0 else "+"
    return f"${sign}{text}$"


def format_interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """An interval as `[.40, .54]`, in mathematics so that minus signs are right."""
    if is_missing(low) or is_missing(high):
        return name_missing(low if is_missing(low) else high)
    return f"$[{format_rate(low, digits)}, {format_rate(high, digits)}]$"


def format_bounds(value: float | None, low: float | None, high: float | None) -> str:
    """The interval that follows a value in the text: after a missing one nothing (nor the space before it), and a
    remark where there is none.
    """
    if is_missing(value):
        return "\\unskip"
    return "(no interval)" if is_missing(low) or is_missing(high) else format_interval(low, high)


def format_p(value: float | None) -> str:
    """A p value in mathematics: `$p = .034$` or `$p < .001$`."""
    if value is None or is_missing(value):
        return name_missing(value)
    return "$p < .001$" if value < 0.001 else f"$p = {format_rate(value, 3)}$"


def join_words(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; `none` for nothing."""
    words = list(words)
    if len(words) < 2:
        return words[0] if words else "none"
    return f"{', '.join(words[:-1])} and {words[-1]}"


def phrase_by_family(words: Mapping[str, str]) -> str:
    """`lower on both backbones`, or `lower on Llama and not detectably different on Qwen`."""
    if not words:
        return "not compared in this profile"
    groups: dict[str, list[str]] = {}
    for family, word in words.items():
        groups.setdefault(word, []).append(family)
    if len(groups) == 1:
        word, families = next(iter(groups.items()))
        where = "both backbones" if len(families) == 2 else f"all {len(families)} backbones"
        return f"{word} on {where if len(families) > 1 else families[0]}"
    return join_words([f"{word} on {join_words(families)}" for word, families in groups.items()])


def phrase_gain(gain: float | None, low: float | None, high: float | None) -> str:
    """What a change of cosine amounts to: its direction where the interval leaves 0 out."""
    if gain is None:
        return "not measured"
    if low is None or high is None:
        direction = "up" if gain > 0 else "down" if gain < 0 else "unchanged"
        return f"{direction} (one seed, no interval)"
    if low > 0:
        return "up"
    return "down" if high < 0 else "not detectably changed"


def _show_pooled(row: Mapping[str, str]) -> str:
    difference, low, high = (float(row[column]) for column in ("difference", "low", "high"))
    adjusted = format_p(float(row["p_holm"]) if row["p_holm"] else None)
    return f"{format_signed(difference)} {format_interval(low, high)}, Holm-adjusted {adjusted}"


def phrase_pooled(row: Mapping[str, str] | None) -> str:
    """A sentence about one comparison pooled over backbones and seeds; says so where nothing can be pooled."""
    if row is None or not row["difference"]:
        return "With one training seed per backbone, nothing is pooled over runs."
    return (
        f"Pooled over backbones, in {row['seeds']} draws, it is {row['verdict']} ({_show_pooled(row)}) "
        f"and below zero in {row['seeds_lower']} of them."
    )


def phrase_headline(row: Mapping[str, str] | None) -> str | None:
    """A few words about a pooled comparison, or None where nothing can be pooled."""
    if row is None or not row["difference"]:
        return None
    return f"{row['verdict']} over {row['seeds']} draws ({_show_pooled(row)})"


def phrase_run(kinds: Set[str]) -> str:
    """Where the backbones live: in the invented world, where judging is exact, or among published models."""
    if kinds == {"organism"}:
        return "in a world where every request is invented and every answer can be judged exactly"
    if "organism" in kinds:
        return (
            "partly in an invented world with exact judges and partly on published models with fallible ones"
        )
    return "on published models, whose answers are judged by fallible rules or models"
