"""A model behind OpenAI's chat completions API, through the openai client: retries, limits, counts."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any

from harc.core.errors import EnvironmentProblem
from harc.core.terminal import show
from harc.core.untrusted import is_encodable, parse_json
from harc.model.endpoints.base import Conversation, Reply, Usage, failed
from harc.model.endpoints.cache import read_key, redact, redact_reply
from harc.model.endpoints.replies import UnreadableAnswer, is_block, read_reply
from harc.settings.endpoints import EndpointSettings

PASSING = (408, 409, 429)
"""Statuses below 500 that another try may mend, as in the openai client."""
LONGEST_MESSAGE = 400  # characters kept of what a server says of an error: it may be a whole page


def choose_wait(attempt: int, retry_after: str | None, settings: EndpointSettings) -> float:
    """Seconds before the next try: the server's Retry-After (seconds or a date), else doubled each time with jitter.

    Args:
        attempt: tries so far, from 1.
        retry_after: the header, if there was one.
        settings: first and longest wait.
    """
    asked = _read_retry_after(retry_after)
    if asked is None:
        asked = settings.first_wait_s * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
    return min(asked, settings.longest_wait_s)


def _read_retry_after(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if abs(seconds) < float("inf") else None


class ServerEndpoint:
    """Asks a server, a bounded number of requests at a time."""

    def __init__(self, settings: EndpointSettings, sleep: Callable[[float], None] = time.sleep) -> None:
        """Make the client; nothing is sent yet.

        Args:
            settings: of kind openai.
            sleep: waits between tries.

        Raises:
            EnvironmentProblem: if the key's variable is not set.
        """
        import openai

        from harc.model.endpoints.transport import make_http_client

        self.settings, self._sleep, self.usage = settings, sleep, Usage()
        self.name = f"{settings.model} at {settings.base_url}"
        self._key = read_key(settings)
        self._forbidden: EnvironmentProblem | None = None
        """A status 403: of the key if nothing was ever answered, else a firewall's word on one conversation."""
        self._client = openai.OpenAI(
            api_key=self._key or "none",
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            max_retries=0,  # ours also cover answers that cannot be read
            default_headers={"Accept-Encoding": "identity"},
            http_client=make_http_client(settings),
        )

    def complete(
        self,
        conversations: Sequence[Conversation],
        *,
        temperature: float | None = None,
        max_new_tokens: int | None = None,
        seed: int | None = None,
        on_reply: Callable[[int, Reply], None] | None = None,
    ) -> list[Reply]:
        """See `ChatEndpoint.complete`.

        Raises:
            EnvironmentProblem: if the server refuses the key or does not know the model.
        """
        settings = self.settings
        options = {
            "model": settings.model,
            "temperature": settings.temperature if temperature is None else temperature,
            "seed": settings.seed if seed is None else seed,
            settings.token_limit_field: settings.max_new_tokens if max_new_tokens is None else max_new_tokens,
        }
        if settings.top_p < 1:
            options["top_p"] = settings.top_p
        if settings.template_options:
            options["extra_body"] = {"chat_template_kwargs": settings.template_options}
        replies: dict[int, Reply] = {}
        with ThreadPoolExecutor(settings.concurrency) as pool:
            places = {
                pool.submit(self._ask, conversation, options): place
                for place, conversation in enumerate(conversations)
            }
            try:
                for future in as_completed(places):
                    reply, retries = future.result()
                    self._note_model(reply)
                    self.usage.retries += retries
                    self.usage.add(reply, settings.prompt_price, settings.completion_price)
                    replies[places[future]] = reply
                    if on_reply is not None:
                        on_reply(places[future], reply)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        if self._forbidden is not None and self.usage.requests == self.usage.failures:
            raise self._forbidden
        return [replies[place] for place in range(len(conversations))]

    def _ask(self, conversation: Conversation, options: dict[str, Any]) -> tuple[Reply, int]:
        """The reply to one conversation, and how often it was asked again."""
        import openai

        from harc.model.endpoints.transport import HTTPError, ReplyRefused, describe_cause

        request = {**options, "messages": [dict(message) for message in conversation]}
        if not all(is_encodable(message["content"]) for message in conversation):
            return failed("a lone surrogate in the prompt, which no request can hold", "refused"), 0
        if conversation[-1]["role"] == "assistant":
            if not self.settings.continues_replies:
                return failed("the server is not set to continue a reply (continues_replies)", "refused"), 0
            going_on = {"continue_final_message": True, "add_generation_prompt": False}
            request["extra_body"] = {**request.get("extra_body", {}), **going_on}
        for tries in range(1, self.settings.retries + 2):
            retry_after = None
            try:
                return self._request(request), tries - 1
            except openai.APIStatusError as error:
                if (refusal := self._read_status(error)) is not None:
                    return refusal, tries - 1
                problem = f"status {error.status_code}: {error.message[:LONGEST_MESSAGE]}"
                retry_after = error.response.headers.get("retry-after")
            except ReplyRefused as error:
                return failed(redact(str(error), self._key)), tries - 1
            except (openai.APIError, HTTPError, UnreadableAnswer, ValueError) as error:
                # ValueError: a body that is no JSON, or no UTF-8.
                problem = describe_cause(error)[:LONGEST_MESSAGE]
            if tries <= self.settings.retries:
                self._sleep(choose_wait(tries, retry_after, self.settings))
        return failed(redact(f"{problem} (tried {tries} times)", self._key)), tries - 1

    def _read_status(self, error: Any) -> Reply | None:
        """What a status of an error says of the conversation: blocked, or refused; None if another try may mend it."""
        if is_block(error):
            return Reply("", "blocked")
        self._refuse_forever(error)
        if error.status_code >= 500 or error.status_code in PASSING:
            return None
        problem = f"status {error.status_code}: {error.message[:LONGEST_MESSAGE]}"
        return failed(redact(problem, self._key), "refused")

    def _request(self, request: dict[str, Any]) -> Reply:
        """One request, its answer read strictly and without the key."""
        from harc.model.endpoints.transport import bounded

        with bounded(self.settings.timeout_s):
            raw = self._client.chat.completions.with_raw_response.create(**request)
            body = raw.http_response.content
        if not body.strip():
            raise UnreadableAnswer("an empty answer")
        answer = parse_json(body.decode("utf-8-sig"), replace_lone=True)
        if not isinstance(answer, dict):
            raise UnreadableAnswer(f"JSON of another form ({type(answer).__name__})")
        if "error" in answer and not answer.get("choices"):
            return self._read_error(answer["error"])
        try:
            reply, named = read_reply(answer), answer.get("model")
        except (AttributeError, IndexError, KeyError, TypeError, RecursionError) as problem:
            raise UnreadableAnswer(f"JSON of another form ({type(problem).__name__})") from None
        hidden: dict[str, Any] = {
            field: redact_reply(value, self._key)
            for field, value in vars(reply).items()
            if isinstance(value, str)
        }
        if isinstance(named, str) and named != self.settings.model:
            hidden["other_model"] = redact_reply(named, self._key)[:LONGEST_MESSAGE]
        return replace(reply, **hidden)

    @staticmethod
    def _read_error(error: Any) -> Reply:
        """An error that came with status 200, as gateways send those of the provider behind them.

        Raises:
            UnreadableAnswer: with its words, unless the provider's filter stopped the request.
        """
        body = error if isinstance(error, dict) else {"message": error}
        message = " ".join(str(body.get("message")).split())
        if is_block(SimpleNamespace(body=body, message=message)):
            return Reply("", "blocked")
        raise UnreadableAnswer(f"an error in place of an answer: {message}")

    def _note_model(self, reply: Reply) -> None:
        """Count an answer in another model's name; say so once for each name."""
        named = reply.other_model
        if named is None:
            return
        if named not in self.usage.other_models:
            show(f"warning: {self.name}: the server answers as {named!r}", err=True)
        self.usage.other_models[named] = self.usage.other_models.get(named, 0) + 1

    def _refuse_forever(self, error: Any) -> None:
        """Raise for statuses that every other request would get too; note the one that may be of this request alone."""
        from harc.model.endpoints.transport import describe_redirect

        redirect = describe_redirect(error.response)
        if redirect is not None:
            raise EnvironmentProblem(
                f"endpoint {self.name}",
                expected="an answer from the address that base_url names",
                found=redact(redirect, self._key),
                fix="nothing was sent on; if the other host is the right one, name it in base_url",
            ) from None
        reasons = {
            401: ("a key that the server takes", "check the key's variable (key_variable)"),
            403: ("a key with the right to use the model", "check the key's variable (key_variable)"),
            404: ("a model and an address that the server knows", "check model and base_url"),
        }
        status = error.status_code
        if status == 400 and f"requested '{self.settings.model}'" in error.message:
            status = 404  # `transformers serve`, of another model than the one it holds
        if status in reasons:
            expected, fix = reasons[status]
            problem = EnvironmentProblem(
                f"endpoint {self.name}",
                expected=expected,
                found=redact(f"status {error.status_code}: {error.message[:LONGEST_MESSAGE]}", self._key),
                fix=fix,
            )
            if status != 403:
                raise problem from None
            self._forbidden = problem
