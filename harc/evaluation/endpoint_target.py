"""A model under test that a server holds: text in, text out, so suites that need weights or likelihoods cannot run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from harc.core.errors import ModelError
from harc.core.files import sha256_text
from harc.core.untrusted import replace_surrogates
from harc.model.endpoints.base import ChatEndpoint, Reply
from harc.model.generation import Completion
from harc.settings.evaluation import EvaluationSettings
from harc.suites.records import Conversation
from harc.suites.target import TextTarget

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
