"""How a row of a user's prompts is put to a model: its turns, its tools, the system prompt of the run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, DataError, ModelError
from harc.core.files import sha256_text
from harc.evaluation.own.turns import find_control
from harc.model.chat import ChatFormat
from harc.model.chat_template import list_variables
from harc.model.completion import Completion
from harc.suites.records import Conversation, is_blank
from harc.suites.rows import LONGEST_PROMPT
from harc.suites.target import EndpointTarget, TextTarget

SALTS = ("opening", "removal")
"""What an answer depends on besides what the model is shown: words in its mouth, what is taken out of it."""
TOOLS = "tools"
"""What chat templates call the tools that they are given."""


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
    """What a target is shown of rows; chat formats with tools are made once for each set of tools."""

    def __init__(self, target: TextTarget) -> None:
        """Take the target."""
        self.target = target
        self._chats: dict[str, ChatFormat] = {}

    def _find_chat(self, row: Mapping[str, Any]) -> ChatFormat:
        """The chat format of a row.

        Raises:
            ModelError: for tools that the model's template cannot show.
        """
        chat: ChatFormat = self.target.backbone.chat  # type: ignore[attr-defined]  # asked of loaded models alone
        if TOOLS not in row:
            return chat
        key = json.dumps(row[TOOLS], sort_keys=True)
        if key not in self._chats:
            if TOOLS not in list_variables(chat.tokenizer.get_chat_template(tools=row[TOOLS])):
                raise ModelError(
                    f"{row['place']}: tools",
                    expected="a model whose chat template takes tools",
                    found="a template that does not read them",
                    fix="take the column tools out, or ask another model",
                )
            options = {**chat.template_options, TOOLS: row[TOOLS]}
            self._chats[key] = replace(chat, template_options=options)
        return self._chats[key]

    def encode(self, rows: Sequence[Mapping[str, Any]]) -> list[list[int]]:
        """Token ids of what the model is shown of each row, the opening of its reply included.

        Raises:
            ModelError, DataError: naming file, row and column of a prompt that the chat template does not take.
        """
        found = []
        for row in rows:
            chat = self._find_chat(row)
            _ = chat.suffix_ids  # what is wrong with the template at large is no fault of the row
            try:
                (ids,) = chat.encode_prompts([row["messages"]])
            except (DataError, ModelError) as problem:
                raise type(problem)(
                    f"{row['place']}: {problem.where}",
                    expected=problem.expected,
                    found=problem.found,
                    fix=problem.fix,
                ) from None
            found.append(ids + (chat.tokenize(row["opening"]) if row.get("opening") else []))
        return found

    def check_served(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Refuse what a server is not sent.

        Raises:
            ConfigError: naming file and row of the first row with tools.
        """
        for row in rows:
            if TOOLS in row:
                raise ConfigError(
                    f"{row['place']}: tools",
                    expected="a model that is loaded here (--model)",
                    found="--endpoint",
                    fix="take the column tools out, or load the model",
                )

    def hash(self, row: Mapping[str, Any]) -> str:
        """SHA-256 of all that the answer to a row depends on besides the model."""
        if TOOLS in row:
            shown = sha256_text(self._find_chat(row).render(row["messages"]))
        else:
            shown = self.target.hash_prompt(row["messages"])
        salts = {name: row[name] for name in SALTS if name in row}
        return sha256_text(f"{shown} {json.dumps(salts, sort_keys=True)}") if salts else shown
