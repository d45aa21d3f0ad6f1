"""Answers on disk by the hash of everything that they depend on; one file each, written atomically."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from harc.core.errors import DataError
from harc.core.files import read_json, sha256_text, write_json
from harc.model.chat_template import DEFAULT_DATE
from harc.model.endpoints.base import ChatEndpoint, Conversation, Reply, Usage
from harc.model.endpoints.replies import read_count
from harc.settings.endpoints import EndpointSettings

FORMAT = 1


class CachedEndpoint:
    """An endpoint that asks each thing once; failures are never kept.

    A reply depends on model, server, conversation, template options, temperature, top_p, length and seed; a change of
    any of them is another file. A damaged file is asked for again.
    """

    def __init__(self, endpoint: ChatEndpoint, settings: EndpointSettings) -> None:
        """Put a cache in `settings.cache` before `endpoint`.

        Raises:
            ValueError: if the settings name no folder.
        """
        if settings.cache is None:
            raise ValueError("settings without a cache folder")
        self.endpoint, self.settings, self.folder = endpoint, settings, Path(settings.cache)
        self.name = endpoint.name

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
            known = self._load(key)
            if known is None:
                missing.append(key)
            else:
                self.usage.cache_hits += len(members)
                keep(key, known)

        def store(number: int, reply: Reply) -> None:
            if reply.error is None:
                write_json(self._path(missing[number]), {"format": FORMAT, "reply": asdict(reply)})
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

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _load(self, key: str) -> Reply | None:
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            kept = read_json(path)
            reply = Reply(**kept["reply"]) if kept["format"] == FORMAT else None
        except (DataError, KeyError, TypeError):
            return None
        return reply if reply is not None and _is_whole(reply) else None


def _is_whole(reply: Reply) -> bool:
    """Whether a reply read from a file is one that was kept: of the right types, and no failure."""
    texts = isinstance(reply.text, str) and isinstance(reply.finish_reason, str) and reply.error is None
    others = all(isinstance(value, str | None) for value in (reply.thought, reply.other_model))
    counts = (reply.prompt_tokens, reply.completion_tokens)
    return texts and others and all(value is None or value == read_count(value) for value in counts)
