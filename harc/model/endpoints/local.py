"""A model in this process behind the endpoint's interface."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harc.core.errors import DataError, ModelError
from harc.model.backbones import Backbone
from harc.model.endpoints.base import Conversation, Reply, Usage, failed
from harc.model.generation import Sampling, answer_prompts, check_lengths
from harc.model.handle import ModelHandle
from harc.settings.endpoints import EndpointSettings


@dataclass
class LocalEndpoint:
    """A loaded chat model; the settings' prices do not apply."""

    backbone: Backbone
    settings: EndpointSettings
    name: str
    usage: Usage = field(default_factory=Usage)

    @classmethod
    def load(cls, settings: EndpointSettings) -> "LocalEndpoint":
        """Load folder or hub id `settings.model`; the name tells models apart by their files, for the cache.

        Raises:
            ModelError: if it cannot be loaded.
        """
        from harc.model.load import find_folder

        model = replace(name_model(settings), weights=find_folder(settings.model, settings.revision))
        files = model.identify()["weights"][:16]
        return cls(model.open(), settings, f"{settings.model} ({settings.dtype}, files {files})")

    def complete(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float | None = None,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        on_reply: Callable[[int, Reply], None] | None = None,
    ) -> list[Reply]:
        """See `ChatEndpoint.complete`; a conversation that does not fit the context is a failed reply."""
        settings = self.settings
        temperature = settings.temperature if temperature is None else temperature
        limit = settings.max_new_tokens if max_new_tokens is None else max_new_tokens
        replies: dict[int, Reply] = {}
        prompts: dict[int, list[int]] = {}
        for place, conversation in enumerate(conversations):
            try:
                ids = encode_conversation(self.backbone.chat, conversation)
                check_lengths(self.backbone.model, [len(ids)], limit, ["conversation"])
            except (DataError, ModelError) as problem:
                replies[place] = failed(str(problem), "refused")
            else:
                prompts[place] = ids
        sampling = None
        if temperature > 0:
            sampling = Sampling(temperature, settings.top_p, settings.seed if seed is None else seed)
        completions = answer_prompts(
            self.backbone,
            list(prompts.values()),
            max_new_tokens=limit,
            batch_size=settings.batch_size,
            names=[f"conversation {place}" for place in prompts],
            sampling=sampling,
        )
        for place, done in zip(prompts, completions, strict=True):
            counts = (done.prompt_tokens, done.response_tokens)
            replies[place] = Reply(done.text, done.finish_reason, *counts, thought=done.thought)
        for place, reply in sorted(replies.items()):
            self.usage.add(reply, 0.0, 0.0)
            if on_reply is not None:
                on_reply(place, reply)
        return [replies[place] for place in range(len(conversations))]


def name_model(settings: EndpointSettings) -> ModelHandle:
    """The model that settings of kind local name."""
    return ModelHandle(
        settings.model,
        dtype=settings.dtype,
        device=settings.device,
        revision=settings.revision,
        chat=settings.chat,
    )


def encode_conversation(chat: Any, conversation: Conversation) -> list[int]:
    """Token ids of a conversation; a last assistant turn is left open, so that the model goes on with it.

    Raises:
        DataError: if the turns before it do not end with the user.
        ModelError: if the template refuses the roles.
    """
    if conversation[-1]["role"] != "assistant":
        return chat.encode_prompts([conversation])[0]
    (ids,) = chat.encode_prompts([conversation[:-1]])
    return ids + chat.tokenize(conversation[-1]["content"])
