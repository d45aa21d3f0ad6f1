"""What a policy layer is: prompts, and answers if it asks for them, in; block or allow out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import Field

from harc.settings.base import Settings

BLOCK_WORDS = (
    "block", "blocks", "blocked", "deny", "denied", "reject", "rejected", "refuse", "refused", "refusal", "flag",
    "flagged", "stop", "stopped", "unsafe", "harmful", "disallow", "disallowed", "forbid", "forbidden",
)  # fmt: skip
ALLOW_WORDS = (
    "allow", "allows", "allowed", "pass", "passed", "accept", "accepted", "permit", "permitted", "approve", "approved",
    "safe", "unflagged", "benign", "ok", "okay", "answer", "answered",
)  # fmt: skip
"""What a decision may be called. A bare yes, true or 1 could be either, and is neither."""


Where = Literal["prompt", "answer", "both"]


class LayerSettings(Settings):
    """What every layer's file may say."""

    name: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9_]*$", description="What tables call it; none: the file's name."
    )
    where: Where = Field(
        "prompt", description="What the layer sees: the user's turns, the model's answer, or both."
    )


@dataclass(frozen=True)
class Item:
    """One prompt as a layer sees it.

    Attributes:
        suite, id: which row it is.
        prompt: the user's turns, one after the other.
        answer: the model's; empty for a layer that sees prompts alone.
        messages: every turn of the prompt, as the model was given it.
        recorded: the row's cell `decision`; empty without one.
    """

    suite: str
    id: str
    prompt: str
    answer: str
    messages: Sequence[Mapping[str, Any]]
    recorded: str = ""

    def list_texts(self, where: str) -> list[str]:
        """The texts that a layer checks one by one."""
        return {"prompt": [self.prompt], "answer": [self.answer], "both": [self.prompt, self.answer]}[where]


class Decision(NamedTuple):
    """What a layer says of one prompt.

    Attributes:
        block: whether it stops it; None where it came to no decision.
        score: what it decided by, where it has one.
        reason: the pattern, label or words behind it, or why there is none; in one line.
    """

    block: bool | None
    score: float | None = None
    reason: str = ""


@runtime_checkable
class Layer(Protocol):
    """A layer of any kind.

    Attributes:
        name: what tables call it.
        where: what it sees; see LayerSettings.
        at_once: prompts that it is best given together.
    """

    name: str
    where: Where
    at_once: int

    def describe(self) -> dict[str, Any]:
        """Everything that its decisions depend on, as JSON values and without secrets."""
        ...

    def prepare(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """Find what is wrong before the model is asked anything.

        Args:
            rows: of every suite (id, suite, decision).

        Returns:
            Remarks for the user.

        Raises:
            HarcError: for what would keep the layer from deciding at all.
        """
        ...

    def decide(self, items: Sequence[Item]) -> list[Decision]:
        """One decision per prompt, in order; one that cannot be had is said to be so, not raised.

        Raises:
            HarcError: for a fault that every prompt would meet.
        """
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


@dataclass(frozen=True)
class LayerKind:
    """A kind of layer as its file declares it.

    Attributes:
        name: value of `kind` in a layer's file.
        settings: what such a file may hold.
        make: (settings, name of the layer, folder that its paths are relative to) to a layer.
    """

    name: str
    settings: type[LayerSettings]
    make: Callable[[Any, str, Path], Layer]


def read_word(value: Any) -> bool | None:
    """Whether a word means block (True) or allow (False); None if it means neither."""
    word = value.strip().strip(".!\"'").lower() if isinstance(value, str) else ""
    return True if word in BLOCK_WORDS else False if word in ALLOW_WORDS else None


def shorten(text: str, most: int = 200) -> str:
    """A text in one line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 3]}..."
