"""Answers on disk by the hash of everything that they depend on."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from harc.core.files import sha256_text
from harc.core.finished import KeyedStore
from harc.model.endpoints.base import ChatEndpoint, Conversation, Reply, Usage
from harc.settings.chat import DEFAULT_DATE
from harc.settings.endpoints import EndpointSettings

FILE = "replies.jsonl"
FORMAT = 2


class CachedEndpoint:
    """An endpoint that asks each thing once; failures are never kept.

    A reply depends on model, server, conversation, template options, temperature, top_p, length and seed; a change of
    any of them is another entry. A damaged one is asked for again.
    """

    def __init__(self, endpoint: ChatEndpoint, settings: EndpointSettings) -> None:
        """Put a cache in `settings.cache` before `endpoint`.

        Raises:
            ValueError: if the settings name no folder.
        """
        if settings.cache is None:
            raise ValueError("settings without a cache folder")
        self.endpoint, self.settings, self.name = endpoint, settings, endpoint.name
        self.store = KeyedStore(settings.cache / FILE, {"format": FORMAT})

    @property
    def usage(self) -> Usage:
        """The endpoint's own count."""
        return self.endpoint.usage

    def complete(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float | None = None,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        on_reply: Callable[[int, Reply], None] | None = None,
    ) -> list[Reply]:
        """See `ChatEndpoint.complete`; what is known is not asked again, equal conversations are asked once.

        A reply is on disk before `on_reply` hears of it, so a kill loses only what was under way.
        """
        options = {
            "temperature": self.settings.temperature if temperature is None else temperature,
            "max_new_tokens": self.settings.max_new_tokens if max_new_tokens is None else max_new_tokens,
            "seed": self.settings.seed if seed is None else seed,
        }
        places: dict[str, list[int]] = {}
        for place, conversation in enumerate(conversations):
            places.setdefault(self.make_key(conversation, options), []).append(place)
        replies: dict[int, Reply] = {}

        def keep(key: str, reply: Reply) -> None:
            for place in places[key]:
                replies[place] = reply
                if on_reply is not None:
                    on_reply(place, reply)

        missing = []
        for key, members in places.items():
            known = self.store.load(key)
            if known is None:
                missing.append(key)
            else:
                self.usage.cache_hits += len(members)
                keep(key, Reply(**known))

        def store(number: int, reply: Reply) -> None:
            if reply.error is None:
                self.store.save(missing[number], asdict(reply))
            keep(missing[number], reply)

        if missing:
            self.endpoint.complete(
                [conversations[places[key][0]] for key in missing], **options, on_reply=store
            )
        return [replies[place] for place in range(len(conversations))]

    def make_key(self, conversation: Conversation, options: dict) -> str:
        """Hex SHA-256 of model, address, conversation and options."""
        content = {
            "model": self.name,
            "top_p": self.settings.top_p,
            "messages": [dict(message) for message in conversation],
            **options,
        }
        template = {**self.settings.template_options, "date": self.settings.template_date}
        if template != {"date": DEFAULT_DATE}:
            content["template"] = template
        return sha256_text(json.dumps(content, sort_keys=True, ensure_ascii=True))
