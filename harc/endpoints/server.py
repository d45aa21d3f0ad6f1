"""A model behind OpenAI's chat completions API, through the openai client: retries, limits, counts."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from harc.config.endpoints import LOOPBACK, EndpointSettings
from harc.endpoints.base import Conversation, Reply, Usage, failed
from harc.endpoints.keys import read_key, redact
from harc.errors import EnvironmentProblem

PASSING = (408, 409, 429)
"""Statuses below 500 that another try may mend, as in the openai client."""


class UnreadableAnswer(Exception):
    """An answer with status 200 that holds no reply."""


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
        except ValueError:
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None


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

        self.settings, self._sleep, self.usage = settings, sleep, Usage()
        self.name = f"{settings.model} at {settings.base_url}"
        self._key = read_key(settings)
        host = urlsplit(settings.base_url or "").hostname
        self._client = openai.OpenAI(
            api_key=self._key or "none",
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            max_retries=0,  # ours also cover answers that cannot be read
            # A proxy for the world outside cannot reach this machine's own servers.
            http_client=openai.DefaultHttpxClient(trust_env=False) if host in LOOPBACK else None,
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
        replies: dict[int, Reply] = {}
        with ThreadPoolExecutor(settings.concurrency) as pool:
            places = {
                pool.submit(self._ask, conversation, options): place
                for place, conversation in enumerate(conversations)
            }
            try:
                for future in as_completed(places):
                    reply, retries = future.result()
                    self.usage.retries += retries
                    self.usage.add(reply, settings.prompt_price, settings.completion_price)
                    replies[places[future]] = reply
                    if on_reply is not None:
                        on_reply(places[future], reply)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [replies[place] for place in range(len(conversations))]

    def _ask(self, conversation: Conversation, options: dict[str, Any]) -> tuple[Reply, int]:
        """The reply to one conversation, and how often it was asked again."""
        import openai

        request = {**options, "messages": [dict(message) for message in conversation]}
        if conversation[-1]["role"] == "assistant":
            if not self.settings.continues_replies:
                return failed("the server is not set to continue a reply (continues_replies)", "refused"), 0
            request["extra_body"] = {"continue_final_message": True, "add_generation_prompt": False}
        for tries in range(1, self.settings.retries + 2):
            retry_after = None
            try:
                return read_reply(self._client.chat.completions.create(**request)), tries - 1
            except openai.APIStatusError as error:
                self._refuse_forever(error)
                problem = f"status {error.status_code}: {error.message}"
                if error.status_code < 500 and error.status_code not in PASSING:
                    return failed(redact(problem, self._key), "refused"), tries - 1
                retry_after = error.response.headers.get("retry-after")
            except (openai.APIError, UnreadableAnswer, ValueError) as error:
                # ValueError: a body that is no JSON, or no UTF-8.
                problem = f"{type(error).__name__}: {error}"
            if tries <= self.settings.retries:
                self._sleep(choose_wait(tries, retry_after, self.settings))
        return failed(redact(f"{problem} (tried {tries} times)", self._key)), tries - 1

    def _refuse_forever(self, error: Any) -> None:
        """Raise for statuses that every other request would get too."""
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
            raise EnvironmentProblem(
                f"endpoint {self.name}",
                expected=expected,
                found=redact(f"status {error.status_code}: {error.message}", self._key),
                fix=fix,
            ) from None


def read_reply(answer: Any) -> Reply:
    """The first choice of a chat completion.

    Raises:
        UnreadableAnswer: if there is no choice, or no text and no reason in it.
    """
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices:
        raise UnreadableAnswer("no choice in the answer")
    message = getattr(choices[0], "message", None)
    text = getattr(message, "content", None)
    refusal = getattr(message, "refusal", None)  # OpenAI's own field for declining; it is what the user reads
    text = text if isinstance(text, str) else refusal
    if not isinstance(text, str):
        raise UnreadableAnswer("no text in the answer")
    usage = getattr(answer, "usage", None)
    prompt, completion = (getattr(usage, f"{side}_tokens", None) for side in ("prompt", "completion"))
    return Reply(
        text,
        str(getattr(choices[0], "finish_reason", None) or "stop"),
        prompt if isinstance(prompt, int) else None,
        completion if isinstance(completion, int) else None,
    )
