"""The model under test: conversations in, completions out; and the records that hold them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harc.core.errors import ModelError
from harc.core.files import sha256_text
from harc.core.untrusted import replace_surrogates
from harc.judges.base import Judge
from harc.model.backbones import Backbone
from harc.model.completion import Completion
from harc.model.endpoints.base import ChatEndpoint, Reply
from harc.model.generation import answer_prompts
from harc.settings.evaluation import EvaluationSettings
from harc.suites.records import Conversation, make_records


class TextTarget:
    """What suites of text need of a model: answers, and records of them; how it answers is up to the kind of target."""

    settings: EvaluationSettings

    def answer(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str] | None = None,
        opening: str = "",
    ) -> list[Completion]:
        """One response to each conversation that ends with a user turn, in order.

        Args:
            conversations: turns by role.
            names: of the conversations, for errors.
            opening: words that every response begins with; they are not part of what is returned.

        Raises:
            ModelError: naming a conversation that cannot be answered.
        """
        raise NotImplementedError

    def hash_prompt(self, messages: Conversation) -> str:
        """SHA-256 of what the model saw of a conversation."""
        raise NotImplementedError

    def answer_turns(
        self, conversations: Sequence[Conversation], names: Sequence[str]
    ) -> tuple[list[list[dict]], list[Completion]]:
        """Answer user turns one after the other, the model's own replies in between.

        Returns:
            What the model saw before its last reply, and that reply, for each conversation.
        """
        seen: list[list[dict]] = [[] for _ in conversations]
        replies: dict[int, Completion] = {}
        for turn in range(max(map(len, conversations))):
            live = [index for index, turns in enumerate(conversations) if turn < len(turns)]
            for index in live:
                if index in replies:
                    seen[index].append({"role": "assistant", "content": replies[index].text})
                seen[index].append(dict(conversations[index][turn]))
            answers = self.answer([seen[index] for index in live], [names[index] for index in live])
            replies |= dict(zip(live, answers, strict=True))
        return seen, [replies[index] for index in range(len(conversations))]

    def make_records(
        self,
        rows: Sequence[dict],
        seen: Sequence[Conversation],
        completions: Sequence[Completion],
        judges: Sequence[Judge],
        attacks: Sequence[dict | None] | None = None,
        verdicts: Sequence[dict] | None = None,
    ) -> list[dict]:
        """Generation records: one per row; see `harc.suites.records.make_records`."""
        return make_records(
            rows, seen, completions, judges, self.hash_prompt, attacks=attacks, verdicts=verdicts
        )


@dataclass(frozen=True)
class Target(TextTarget):
    """A backbone, with its adapter on if it has one, that answers greedily."""

    backbone: Backbone
    settings: EvaluationSettings

    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int | None = None,
        names: Sequence[str] | None = None,
        on_done: Callable[[int], None] | None = None,
    ) -> list[Completion]:
        """Continue token ids until the model ends its turn; see `answer_prompts`."""
        return answer_prompts(
            self.backbone,
            prompts,
            max_new_tokens=max_new_tokens or self.settings.max_new_tokens,
            batch_size=self.settings.batch_size,
            names=names,
            on_done=on_done,
        )

    def answer(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str] | None = None,
        opening: str = "",
    ) -> list[Completion]:
        """One response to each conversation; see `TextTarget.answer`.

        Raises:
            ModelError: naming a conversation that does not fit the context.
        """
        prompts = self.backbone.chat.encode_prompts(conversations)
        begun = self.backbone.chat.tokenize(opening) if opening else []
        return self.decode([ids + begun for ids in prompts], names=names)

    def hash_prompt(self, messages: Conversation) -> str:
        """SHA-256 of the text that the model saw, template included."""
        return sha256_text(self.backbone.chat.render(messages))


STOP_AFTER = 20
"""Conversations one after the other that reached no model: a server that is gone, not bad rows; own choice."""


@dataclass
class Reached:
    """How asking went so far: whether any reply came, and how many conversations in a row reached no model."""

    ever: bool = False
    missed: int = 0

    def note(self, reply: Reply) -> None:
        """Count one reply; one that a server cannot give is one that it gave."""
        reached = reply.finish_reason != "error"
        self.ever = self.ever or reached
        self.missed = 0 if reached else self.missed + 1


@dataclass(frozen=True)
class EndpointTarget(TextTarget):
    """An endpoint that is asked greedily, with the evaluation's longest response."""

    endpoint: ChatEndpoint
    settings: EvaluationSettings
    reached: Reached = field(default_factory=Reached)

    def answer(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str] | None = None,
        opening: str = "",
    ) -> list[Completion]:
        """One response to each conversation; see `TextTarget.answer`.

        A conversation that has none gets a completion that says so, with finish reason `unanswered` (the server
        cannot answer it) or `error` (it was not reached), and the reason in `error`: one row never ends a run.

        Raises:
            ModelError: naming a conversation, if no reply has come at all, or none to the last STOP_AFTER.
            EnvironmentProblem: if the server refuses the key or does not know the model.
        """
        begun = [{"role": "assistant", "content": opening}] if opening else []
        replies = self.endpoint.complete(
            [[*conversation, *begun] for conversation in conversations],
            temperature=0.0,
            max_new_tokens=self.settings.max_new_tokens,
        )
        for reply in replies:
            self.reached.note(reply)
        if replies and (not self.reached.ever or self.reached.missed >= STOP_AFTER):
            raise ModelError(
                f"{names[-1] if names else 'the last prompt'} at {self.endpoint.name}",
                expected="a reply",
                found=f"{replies[-1].error} ({self.reached.missed} prompts in turn without one)",
                fix="check the server and start the run again",
            )
        return [make_completion(reply) for reply in replies]

    def hash_prompt(self, messages: Conversation) -> str:
        """SHA-256 of the conversation as JSON: the template is the server's affair."""
        turns = [dict(message) for message in messages]
        return sha256_text(json.dumps(turns, sort_keys=True, ensure_ascii=False))


def make_completion(reply: Reply) -> Completion:
    """A reply as a completion; text that no file can hold is replaced character by character."""
    reason = "unanswered" if reply.finish_reason == "refused" else reply.finish_reason
    return Completion(
        replace_surrogates(reply.text),
        reason,
        reply.prompt_tokens,
        reply.completion_tokens,
        None if reply.thought is None else replace_surrogates(reply.thought),
        None if reply.error is None else replace_surrogates(reply.error),
    )
