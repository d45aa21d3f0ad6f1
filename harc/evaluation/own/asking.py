"""How a row of a user's prompts is put to a model: its turns, its tools, the system prompt of the run."""

import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, DataError, ModelError
from harc.core.files import sha256_text
from harc.evaluation.agents.asking import TOOLS, render_conversation, takes_tools
from harc.evaluation.own.turns import find_control
from harc.model.chat import ChatFormat
from harc.model.completion import Completion
from harc.suites.records import Conversation, is_blank
from harc.suites.rows import LONGEST_PROMPT
from harc.suites.target import EndpointTarget, TextTarget

SALTS = ("opening", "removal")
"""What an answer depends on besides what the model is shown: words in its mouth, what is taken out of it."""


@dataclass(frozen=True)
class PromptedEndpoint(EndpointTarget):
    """An endpoint that is given a system prompt wherever a conversation has none."""

    system: str = ""

    def _add_system(self, conversation: Conversation) -> list[dict[str, str]]:
        turns = [dict(turn) for turn in conversation]
        if turns and turns[0]["role"] == "system":
            return turns
        return [{"role": "system", "content": self.system}, *turns]

    def answer(
        self, conversations: Sequence[Conversation], names: Sequence[str] | None = None, opening: str = ""
    ) -> list[Completion]:
        """One response to each conversation; see `TextTarget.answer`."""
        return super().answer([self._add_system(turns) for turns in conversations], names, opening)

    def hash_prompt(self, messages: Conversation) -> str:
        """SHA-256 of the conversation as JSON, system prompt included."""
        return super().hash_prompt(self._add_system(messages))


def read_system_prompt(given: str | None) -> str | None:
    """The system prompt that an option names: the text itself, or that of a file.

    Raises:
        ConfigError: for an empty or huge text, or one with control characters, or a file that is no UTF-8.
    """
    if given is None:
        return None
    text, where = given, "--system-prompt"
    path = Path(given) if len(given) < 4096 and "\n" not in given and "\x00" not in given else None
    if path is not None and path.is_file():
        where = f"--system-prompt {path}"
        try:
            text = path.read_text(encoding="utf-8-sig").strip()
        except UnicodeDecodeError:
            raise _refuse_system(where, "bytes that are no UTF-8") from None
    elif path is not None and path.suffix in (".txt", ".md") and " " not in given:
        raise _refuse_system(f"--system-prompt {given}", "no such file")
    if is_blank(text):
        raise _refuse_system(where, "an empty one")
    if len(text) > LONGEST_PROMPT:
        raise _refuse_system(where, f"{len(text)} characters")
    if bad := find_control(text):
        raise _refuse_system(where, bad)
    return text


def _refuse_system(where: str, found: str) -> ConfigError:
    return ConfigError(
        where, expected="a printable text, or a file with one", found=found, fix="check the text or the path"
    )


class Asking:
    """What a target is shown of rows."""

    def __init__(self, target: TextTarget) -> None:
        """Take the target."""
        self.target = target

    def _encode(self, chat: ChatFormat, row: Mapping[str, Any]) -> list[int]:
        if is_plain(row):
            return chat.encode_prompts([row["messages"]])[0]
        return chat.tokenize(render_conversation(chat, row))

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> list[Sequence[int]]:
        """Token ids of what the model is shown of each row, the opening of its reply included; 4 bytes a token.

        Raises:
            ModelError, DataError: naming file, row and column of a prompt that the chat template does not take, or of
                tools that it cannot show.
        """
        found: list[Sequence[int]] = []
        chat: ChatFormat = self.target.backbone.chat  # type: ignore[attr-defined]  # asked of loaded models alone
        for row in rows:
            _ = chat.suffix_ids  # what is wrong with the template at large is no fault of the row
            try:
                ids = self._encode(chat, row)
            except (DataError, ModelError) as problem:
                raise type(problem)(
                    f"{row['place']}: {problem.where}",
                    expected=problem.expected,
                    found=problem.found,
                    fix=problem.fix,
                ) from None
            opening = chat.tokenize(row["opening"]) if row.get("opening") else []
            found.append(array("i", [*ids, *opening]))
        return found

    def check_served(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Refuse what a server is not sent.

        Raises:
            ConfigError: naming file and row of the first row with tools.
        """
        for row in rows:
            if not is_plain(row) and not takes_tools(self.target):
                raise ConfigError(
                    f"{row['place']}: tools",
                    expected="a model that is loaded here (--model), or a server of kind openai",
                    found="an --endpoint of another kind",
                    fix="give --tools-as-text, take the column tools out, or load the model",
                )

    def hash(self, row: Mapping[str, Any]) -> str:
        """SHA-256 of all that the answer to a row depends on besides the model."""
        salts = {name: row[name] for name in SALTS if name in row}
        if is_plain(row):
            shown = self.target.hash_prompt(row["messages"])
        elif isinstance(self.target, EndpointTarget):
            shown, salts = self.target.hash_prompt(row["messages"]), salts | {TOOLS: row[TOOLS]}
        else:
            shown = sha256_text(render_conversation(self.target.backbone.chat, row))  # type: ignore[attr-defined]
        return sha256_text(f"{shown} {json.dumps(salts, sort_keys=True)}") if salts else shown


def is_plain(row: Mapping[str, Any]) -> bool:
    """Whether a row is shown as turns of text alone."""
    return TOOLS not in row or bool(row.get("as_text"))
