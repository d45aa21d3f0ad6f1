"""Words and regular expressions that block what holds one of them.

Matching is bounded in time: an expression that goes back over a text again and again ends the run after seconds, with
its name, where the standard library's would hang.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harc.core.errors import ConfigError, DataError
from harc.evaluation.policy.base import Decision, Item, LayerKind, LayerSettings, shorten


class PatternSettings(LayerSettings):
    """A layer of kind `patterns`."""

    kind: Literal["patterns"] = Field(description="Words or regular expressions.")
    patterns: tuple[str, ...] = Field(
        min_length=1, description="What is looked for; one that is found blocks."
    )
    regex: bool = Field(
        False,
        description="Whether they are regular expressions (package regex, in Python's syntax); else words.",
    )
    case: bool = Field(False, description="Whether case matters.")
    whole_words: bool = Field(True, description="Whether a match must begin and end where a word does.")
    timeout_s: float = Field(
        2.0, gt=0, le=60, description="Longest search of one expression in one text, seconds; own choice."
    )


class PatternLayer:
    """Blocks a text in which a pattern is found."""

    at_once = 256

    def __init__(self, settings: PatternSettings, name: str, folder: Path) -> None:
        """Compile the patterns.

        Raises:
            ConfigError: for one that is empty, or no regular expression.
        """
        self.settings, self.name, self.where = settings, name, settings.where
        self.compiled = [
            (pattern, self._compile(place, pattern)) for place, pattern in enumerate(settings.patterns)
        ]

    def _compile(self, place: int, pattern: str) -> Any:
        import regex

        where = f"layer {self.name}: patterns.{place}"
        if not pattern.strip():
            raise ConfigError(
                where, expected="a pattern", found="an empty text, which is in every prompt", fix="remove it"
            )
        inner = pattern if self.settings.regex else r"\s+".join(map(regex.escape, pattern.split()))
        # Not \b: a word such as `c++` ends in a sign, behind which \b wants a letter.
        whole = rf"(?<!\w)(?:{inner})(?!\w)" if self.settings.whole_words else f"(?:{inner})"
        flags = regex.UNICODE if self.settings.case else regex.UNICODE | regex.IGNORECASE
        try:
            if self.settings.regex:
                regex.compile(pattern)  # alone first: brackets that do not match would close ours
            made = regex.compile(whole, flags)
        except (regex.error, OverflowError, RecursionError) as problem:
            raise ConfigError(
                where,
                expected="a regular expression",
                found=f"{shorten(pattern, 60)!r}: {shorten(str(problem))}",
                fix="correct it, or set regex to false for plain words",
            ) from None
        if made.search("") is not None:
            raise ConfigError(
                where,
                expected="a pattern that an empty text does not hold",
                found=repr(shorten(pattern, 60)),
                fix="correct it: it would block everything",
            )
        return made

    def describe(self) -> dict[str, Any]:
        """See `Layer.describe`."""
        return self.settings.model_dump(mode="json", exclude={"timeout_s"})

    def prepare(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """See `Layer.prepare`."""
        return []

    def decide(self, items: Sequence[Item]) -> list[Decision]:
        """See `Layer.decide`.

        Raises:
            DataError: naming pattern and prompt, if a search takes longer than timeout_s.
        """
        return [self._decide(item) for item in items]

    def _decide(self, item: Item) -> Decision:
        for text in item.list_texts(self.where):
            for pattern, compiled in self.compiled:
                try:
                    found = compiled.search(text, timeout=self.settings.timeout_s)
                except TimeoutError:
                    raise DataError(
                        f"layer {self.name}: pattern {shorten(pattern, 60)!r} on {item.suite}: {item.id}",
                        expected=f"a search of at most {self.settings.timeout_s:g} s",
                        found="a longer one: it goes back over the text again and again",
                        fix="take nested repeats out of the pattern; answers are kept",
                    ) from None
                if found:
                    return Decision(True, reason=shorten(pattern))
        return Decision(False)

    def close(self) -> None:
        """Nothing was started."""


LAYER = LayerKind("patterns", PatternSettings, PatternLayer)
