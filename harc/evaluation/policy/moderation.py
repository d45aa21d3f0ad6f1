"""A moderation server: OpenAI's /v1/moderations, or any that takes JSON by POST and gives a score or a word."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from harc.core.errors import EnvironmentProblem
from harc.core.untrusted import is_encodable, parse_json
from harc.evaluation.policy.base import Decision, Item, LayerKind, LayerSettings, read_word, shorten
from harc.settings.endpoints import EndpointSettings

TEXT = "{text}"


class ModerationSettings(LayerSettings):
    """A layer of kind `moderation`."""

    kind: Literal["moderation"] = Field(description="A server that judges texts.")
    endpoint: EndpointSettings = Field(
        description="Its address (kind openai, base_url, model), the variable of its key, time-outs and retries, as in "
        "the file of --endpoint."
    )
    path: str = Field("moderations", description="What is put behind base_url; empty: nothing.")
    request: dict[str, Any] | None = Field(
        None,
        description="JSON that is sent, {text} in the place of the text; none: OpenAI's form, model and input.",
    )
    score: tuple[str, ...] = Field(
        ("results.0.flagged",),
        min_length=1,
        description="Where in the answer the score is: names and numbers with dots between; of several the highest "
        "counts. A score is a number, true or false (1 or 0), or a word (block, allow).",
    )
    threshold: float = Field(0.5, description="Score from which on it blocks.")

    @field_validator("endpoint")
    @classmethod
    def check_kind(cls, endpoint: EndpointSettings) -> EndpointSettings:
        """Refuse an endpoint that is no server with an address."""
        if endpoint.kind != "openai":
            raise ValueError("an endpoint of kind openai, a server with an address")
        return endpoint

    @model_validator(mode="after")
    def check_request(self) -> "ModerationSettings":
        """Refuse a request without a place for the text: every answer would be the same."""
        if self.request is not None and TEXT not in str(self.request):
            raise ValueError("a request with {text} in it")
        return self


class UnreadableScore(ValueError):
    """An answer without the score."""


class ModerationLayer:
    """Asks a server about each text."""

    def __init__(
        self,
        settings: ModerationSettings,
        name: str,
        folder: Path,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make the client; nothing is sent yet.

        Raises:
            EnvironmentProblem: if the key's variable is not set.
        """
        from harc.model.endpoints.cache import read_key
        from harc.model.endpoints.transport import make_http_client

        self.settings, self.name, self.where = settings, name, settings.where
        self.at_once = settings.endpoint.concurrency
        self._key, self._sleep = read_key(settings.endpoint), sleep
        base = str(settings.endpoint.base_url).rstrip("/")
        self.url = f"{base}/{settings.path.lstrip('/')}" if settings.path else base
        self._client = make_http_client(settings.endpoint)

    def describe(self) -> dict[str, Any]:
        """See `Layer.describe`."""
        told = self.settings.model_dump(mode="json", exclude={"endpoint"})
        return told | {"url": self.url, "model": self.settings.endpoint.model}

    def prepare(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """See `Layer.prepare`."""
        return []

    def decide(self, items: Sequence[Item]) -> list[Decision]:
        """See `Layer.decide`.

        Raises:
            EnvironmentProblem: if the server refuses the key, does not know the address, or sends on to another host.
        """
        with ThreadPoolExecutor(self.settings.endpoint.concurrency) as pool:
            return list(pool.map(self._decide, items))

    def _decide(self, item: Item) -> Decision:
        found = [self._ask(text) for text in item.list_texts(self.where) if text.strip()] or [
            Decision(False, 0.0)
        ]
        failed = next((decision for decision in found if decision.block is None), None)
        blocking = next((decision for decision in found if decision.block), None)
        return blocking or failed or max(found, key=lambda decision: decision.score or 0.0)

    def _ask(self, text: str) -> Decision:
        from harc.model.endpoints.cache import redact
        from harc.model.endpoints.server import PASSING, choose_wait
        from harc.model.endpoints.transport import HTTPError, ReplyRefused, describe_cause

        if not is_encodable(text):
            return Decision(None, reason="a lone surrogate in the text, which no request can hold")
        settings = self.settings.endpoint
        for tries in range(1, settings.retries + 2):
            retry_after = None
            try:
                status, retry_after, body = self._post(text)
                if status == 200:
                    return self._read(body)
                problem = f"status {status}: {shorten(body.decode(errors='replace'))}"
                self._refuse_forever(status, redact(problem, self._key))
                if status < 500 and status not in PASSING:
                    return Decision(None, reason=shorten(redact(problem, self._key)))
            except ReplyRefused as error:
                return Decision(None, reason=shorten(redact(str(error), self._key)))
            except (HTTPError, ValueError) as error:
                problem = shorten(describe_cause(error))
            if tries <= settings.retries:
                self._sleep(choose_wait(tries, retry_after, settings))
        return Decision(None, reason=shorten(redact(f"{problem} (tried {tries} times)", self._key)))

    def _post(self, text: str) -> tuple[int, str | None, bytes]:
        from harc.model.endpoints.transport import bounded, describe_redirect

        form = self.settings.request or {"model": self.settings.endpoint.model, "input": TEXT}
        headers = {"Accept-Encoding": "identity"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        with bounded(self.settings.endpoint.timeout_s):
            response = self._client.post(self.url, json=put_text(form, text), headers=headers)
            redirect = describe_redirect(response)
            if redirect is not None:
                self._refuse_forever(None, redirect)
            return response.status_code, response.headers.get("retry-after"), response.content

    def _refuse_forever(self, status: int | None, problem: str) -> None:
        reasons = {
            None: ("an answer from the address that base_url names", "name the right host in base_url"),
            401: ("a key that the server takes", "check the key's variable (key_variable)"),
            403: ("a key with the right to use it", "check the key's variable (key_variable)"),
            404: ("an address that the server knows", "check base_url and path"),
        }
        if status in reasons:
            expected, fix = reasons[status]
            raise EnvironmentProblem(
                f"layer {self.name} at {self.url}", expected=expected, found=problem, fix=fix
            )

    def _read(self, body: bytes) -> Decision:
        """The decision of an answer.

        Raises:
            ValueError: if it is no JSON, or has no score at the place.
        """
        answer = parse_json(body.decode("utf-8-sig"), replace_lone=True)
        scores = {path: find_score(answer, path) for path in self.settings.score}
        path, score = max(scores.items(), key=lambda item: item[1])
        block = score >= self.settings.threshold
        return Decision(block, score, path if block else "")

    def close(self) -> None:
        """Close connections."""
        self._client.close()


def put_text(form: Any, text: str) -> Any:
    """A request with the text in its place."""
    if isinstance(form, str):
        return form.replace(TEXT, text)
    if isinstance(form, dict):
        return {name: put_text(value, text) for name, value in form.items()}
    return [put_text(value, text) for value in form] if isinstance(form, list | tuple) else form


def find_score(answer: Any, path: str) -> float:
    """The score at a place of an answer.

    Raises:
        UnreadableScore: if there is none.
    """
    value = answer
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            known = f" (there: {', '.join(map(str, value))})" if isinstance(value, dict) else ""
            raise UnreadableScore(shorten(f"no {part!r} of {path} in the answer{known}"))
    word = read_word(value)
    if word is not None:
        value = word
    if not isinstance(value, int | float):
        raise UnreadableScore(shorten(f"{value!r} at {path}, neither a number nor a decision"))
    return float(value)


LAYER = LayerKind("moderation", ModerationSettings, ModerationLayer)
