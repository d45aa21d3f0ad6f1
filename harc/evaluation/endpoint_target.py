"""A model under test that a server holds: text in, text out, so suites that need weights or likelihoods cannot run."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from harc.config.evaluation import EvaluationSettings
from harc.endpoints.base import ChatEndpoint
from harc.errors import ModelError
from harc.evaluation.records import Conversation
from harc.evaluation.target import TextTarget
from harc.files import sha256_text
from harc.generation import Completion


@dataclass(frozen=True)
class EndpointTarget(TextTarget):
    """An endpoint that is asked greedily, with the evaluation's longest response."""

    endpoint: ChatEndpoint
    settings: EvaluationSettings

    def answer(
        self,
        conversations: Sequence[Conversation],
        names: Sequence[str] | None = None,
        opening: str = "",
    ) -> list[Completion]:
        """One response to each conversation; see `TextTarget.answer`.

        Raises:
            ModelError: naming the first conversation that got no reply; the others' are in the endpoint's cache.
            EnvironmentProblem: if the server refuses the key or does not know the model.
        """
        begun = [{"role": "assistant", "content": opening}] if opening else []
        replies = self.endpoint.complete(
            [[*conversation, *begun] for conversation in conversations],
            temperature=0.0,
            max_new_tokens=self.settings.max_new_tokens,
        )
        for place, reply in enumerate(replies):
            if reply.error is not None:
                raise ModelError(
                    f"{names[place] if names else f'prompt {place}'} at {self.endpoint.name}",
                    expected="a reply",
                    found=reply.error,
                    fix="check the server and start the run again: what was answered is kept",
                )
        return [
            Completion(reply.text, reply.finish_reason, reply.prompt_tokens, reply.completion_tokens)
            for reply in replies
        ]

    def hash_prompt(self, messages: Conversation) -> str:
        """SHA-256 of the conversation as JSON: the template is the server's affair."""
        turns = [dict(message) for message in messages]
        return sha256_text(json.dumps(turns, sort_keys=True, ensure_ascii=False))
