"""Answers on disk by the hash of everything that they depend on."""

import base64
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus

from harc.core.errors import EnvironmentProblem
from harc.core.files import sha256_text
from harc.core.finished import KeyedStore
from harc.model.endpoints.base import ChatEndpoint, Conversation, Reply, Usage
from harc.settings.backbones import DEFAULT_DATE
from harc.settings.endpoints import EndpointSettings

HIDDEN = "[key]"
SHORTEST = 8
"""Characters of a key that is hidden in answers too: shorter ones (none, EMPTY) are no secrets, but are words."""
PIECE = 12
"""Characters of a piece of a key that is hidden wherever it stands, for keys of at least twice as many."""


def read_key(settings: EndpointSettings) -> str | None:
    """The key that the settings' variable holds; None where the server asks for none.

    Raises:
        EnvironmentProblem: if the variable is not set or empty, or holds what no header can carry.
    """
    if settings.key_variable is None:
        return None
    key = os.environ.get(settings.key_variable, "").strip()
    if not key:
        raise describe_missing_key(settings)
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise EnvironmentProblem(
            f"endpoint {settings.model}",
            expected=f"a key of plain characters in the environment variable {settings.key_variable}",
            found="a space, a line break, or a character outside ASCII in it",
            fix="copy the key again",
        )
    return key


def describe_missing_key(settings: EndpointSettings) -> EnvironmentProblem:
    """The error for a key variable that is not set."""
    return EnvironmentProblem(
        f"endpoint {settings.model}",
        expected=f"its key in the environment variable {settings.key_variable}",
        found="no such variable, or an empty one",
        fix=f"export {settings.key_variable}=... in the shell that starts the run",
    )


@cache
def list_forms(key: str) -> tuple[str, ...]:
    """What a key looks like in texts, longest first: as it is, in a URL, in JSON, base64, hexadecimal, in one case.

    Base64 depends on where in a longer text the key begins, so its middle is listed for each of three places.
    """
    data = key.encode()
    forms = {key, key.lower(), key.upper(), key[::-1], data.hex(), data.hex().upper(), json.dumps(key)[1:-1]}
    forms |= {quote(key, safe=""), quote(key), quote_plus(key), quote(quote(key, safe=""), safe="")}
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + data).decode().rstrip("=")
        middle = encoded[-(-shift * 8 // 6) : len(encoded) - 1]
        forms |= {middle, middle.replace("+", "-").replace("/", "_")}
    forms |= {base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()}
    return tuple(sorted((form for form in forms if form), key=lambda form: (-len(form), form)))


def hide_key(text: str, key: str | None) -> str:
    """The text with every form of the key, and every longer piece of it, replaced."""
    if not key:
        return text
    for form in list_forms(key) if len(key) >= SHORTEST else (key,):
        text = text.replace(form, HIDDEN)
    return _hide_pieces(text, key) if len(key) >= 2 * PIECE else text


def _hide_pieces(text: str, key: str) -> str:
    spans: list[tuple[int, int]] = []
    for start in range(len(key) - PIECE + 1):
        piece, place = key[start : start + PIECE], -1
        while (place := text.find(piece, place + 1)) >= 0:
            spans.append((place, place + PIECE))
    end, kept = 0, []
    for first, last in sorted(spans):
        if first >= end:
            kept += [text[end:first], HIDDEN]
        end = max(end, last)
    return "".join([*kept, text[end:]])


def redact(text: str, key: str | None) -> str:
    """The text with the key hidden, in one line: for errors."""
    return hide_key(" ".join(text.split()), key)


def redact_reply(text: str, key: str | None) -> str:
    """An answer with the key hidden; one too short to be a secret stays, since it may be a word of the answer."""
    return hide_key(text, key) if key and len(key) >= SHORTEST else text


FILE = "replies.jsonl"
FORMAT = 2


class CachedEndpoint:
    """An endpoint that asks each thing once; failures are never kept.

    A reply depends on model, server, conversation, template options, temperature, top_p, length and seed; a change of
    any of them is another entry. A damaged one is asked for again. Runs at the same time take turns at a model that
    each would start for itself, and find what the one before was told.
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
        options: dict[str, Any] = {
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

        def find_missing(keys: Iterable[str]) -> list[str]:
            missing = []
            for key in keys:
                known = self.store.load(key)
                if known is None:
                    missing.append(key)
                else:
                    self.usage.cache_hits += len(places[key])
                    keep(key, Reply(**known))
            return missing

        def store(number: int, reply: Reply) -> None:
            if reply.error is None:
                self.store.save(missing[number], asdict(reply))
            keep(missing[number], reply)

        missing = find_missing(places)
        if missing:
            with self._wait_turn():
                missing = find_missing(missing)
                if missing:
                    self.endpoint.complete(
                        [conversations[places[key][0]] for key in missing], **options, on_reply=store
                    )
        return [replies[place] for place in range(len(conversations))]

    @contextmanager
    def _wait_turn(self) -> Iterator[None]:
        """Until no other run asks a model that each run would start for itself: what it writes is then known here."""
        if self.settings.kind != "llama_cpp":
            yield
            return
        self.store.path.parent.mkdir(parents=True, exist_ok=True)
        with self.store.path.with_suffix(".lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

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
