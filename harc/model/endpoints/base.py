"""What a chat endpoint is: conversations in, replies out, in order; a failed one is a reply that says so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from harc.settings.endpoints import EndpointSettings

Message = Mapping[str, str]
"""One turn: `role` (system, user, assistant) and `content`."""

Conversation = Sequence[Message]
"""Turns in order. If the last one is the assistant's, the reply continues it and holds the new text only."""


@dataclass(frozen=True)
class Reply:
    """What came of one conversation.

    Attributes:
        text: the answer; empty if there was none.
        finish_reason: `stop`; `length` if the limit cut it; `tool_calls` if it holds nothing but calls of tools, which
            are then its text; `blocked` if the provider's filter or the server's `refusal` took the answer's place;
            `other: ...` for what else a server says. Where there is no answer, `refused` if this conversation cannot
            be answered (too long, no such option), `error` if the model was not reached.
        prompt_tokens: as the server counts them; None where it does not say.
        completion_tokens: the same for the answer.
        error: why there is no answer, in one line and without secrets; None if there is one.
        other_model: the model's name as the server gives it, where that is not the one that was asked for.
        thought: what the model thought before it answered, apart from the text; None where there is none.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None
    other_model: str | None = None
    thought: str | None = None


def failed(problem: str, finish_reason: str = "error") -> Reply:
    """A reply that holds no answer but the reason."""
    return Reply("", finish_reason, error=" ".join(problem.split()))


@dataclass
class Usage:
    """What an endpoint has done so far.

    Attributes:
        requests: conversations asked of the model, each counted once however often it was tried.
        retries: further tries.
        failures: conversations without an answer.
        cache_hits: conversations answered from the cache; they cost nothing.
        prompt_tokens: of answered requests.
        completion_tokens: of answered requests.
        uncounted: answered requests whose tokens the server did not count.
        cost: by the prices of the settings, in their currency.
        other_models: answers that the server gave in the name of another model than asked, by that name.
    """

    requests: int = 0
    retries: int = 0
    failures: int = 0
    cache_hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    cost: float = 0.0
    other_models: dict[str, int] = field(default_factory=dict)

    def add(self, reply: Reply, prompt_price: float, completion_price: float) -> None:
        """Count one reply of the model; prices are per million tokens."""
        self.requests += 1
        if reply.error is not None:
            self.failures += 1
            return
        if reply.prompt_tokens is None or reply.completion_tokens is None:
            self.uncounted += 1
        prompt, completion = reply.prompt_tokens or 0, reply.completion_tokens or 0
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        self.cost += (prompt * prompt_price + completion * completion_price) / 1e6


@runtime_checkable
class ChatEndpoint(Protocol):
    """A chat model of any kind.

    Attributes:
        name: what records call it: the model's name, for a server with its address.
    """

    name: str

    @property
    def usage(self) -> Usage:
        """What it has done so far."""
        ...

    def complete(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float | None = None,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        on_reply: Callable[[int, Reply], None] | None = None,
    ) -> list[Reply]:
        """One reply per conversation, in order.

        Args:
            conversations: turns by role.
            temperature: of sampling; 0 is greedy; None takes the settings' value.
            max_new_tokens: longest reply; None takes the settings' value.
            seed: of sampling; None takes the settings' value. Equal conversations get equal replies from a local
                model if seeds are equal, whatever else is asked in the same call.
            on_reply: called with a conversation's place and its reply as soon as that is there, in any order.

        Raises:
            EnvironmentProblem: if no conversation could ever be answered: no key, a refused one, an unknown model.
                Whatever befalls single conversations is in their replies.
        """
        ...


def create_endpoint(settings: EndpointSettings) -> ChatEndpoint:
    """Load the model, or make the client of its server.

    Args:
        settings: which model, and how to ask it.

    Raises:
        EnvironmentProblem: if the key's variable is not set, or the server's package is not installed.
        ModelError: for a local model that cannot be loaded.
    """
    endpoint: ChatEndpoint
    if settings.kind == "local":
        from harc.model.endpoints.local import LocalEndpoint

        endpoint = LocalEndpoint.load(settings)
    elif settings.kind == "llama_cpp":
        from harc.model.endpoints.llama_server import LlamaEndpoint

        endpoint = LlamaEndpoint(settings)
    else:
        from harc.model.endpoints.server import ServerEndpoint

        endpoint = ServerEndpoint(settings)
    if settings.cache is None:
        return endpoint
    from harc.model.endpoints.cache import CachedEndpoint

    return CachedEndpoint(endpoint, settings)
