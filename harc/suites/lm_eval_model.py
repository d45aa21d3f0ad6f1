"""The model under test as lm-evaluation-harness sees it: our chat template, our decoder, adapter or steering left on.

Nothing is merged: the harness gets token probabilities of the model as it stands, and text from our own decoding. What
the harness would let pass is refused: it cuts a prompt that does not fit from the left, takes 2048 tokens for the
context of a model whose config is nested, and ranks options by log-likelihoods that are NaN.
"""

import contextlib
import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from harc.core.errors import ModelError


@contextlib.contextmanager
def quiet_harness() -> Iterator[None]:
    """Keep the harness's warnings and bars off the screen; errors still come through as exceptions."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


LOGITS = 1 << 29
"""Most logits that are made at once, those of whole prompts: 1 GB in bfloat16, and more on the way; own choice."""


def bound_rows(batch: int, longest: int, vocabulary: int) -> int:
    """Prompts of at most `longest` tokens whose logits are made at once: a batch of them, or as many as LOGITS hold."""
    return max(1, min(batch, LOGITS // (longest * vocabulary)))


def name_request(request: Any) -> str:
    """What a request of lm_eval is about: the row's own id, or the task and the item's number."""
    doc = request.doc if isinstance(request.doc, dict) else {}
    return str(doc.get("id") or f"{request.task_name}: item {request.doc_id}")


@cache
def make_lm_class() -> type:
    """A class of lm_eval 0.4.13 around a harc.suites.target.Target, to be subclassed."""
    from lm_eval.models.huggingface import HFLM

    from harc.model.generation import context_length

    class TargetLM(HFLM):
        def __init__(self, target: Any) -> None:
            backbone = target.backbone
            super().__init__(
                pretrained=backbone.model,
                tokenizer=backbone.tokenizer,
                batch_size=target.settings.batch_size,
                max_length=context_length(backbone.model),
                add_bos_token=False,  # the chat template has written it
            )
            self.names: list[str] = []
            self.chat = backbone.chat

        def apply_chat_template(
            self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
        ) -> str:
            return render_history(self.chat, chat_history)

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
            self.names = [name_request(request) for request in requests]
            answers = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
            for name, (logprob, _) in zip(self.names, answers, strict=True):
                check_logprob(name, logprob)
            return answers

        def _loglikelihood_tokens(self, requests: list[Any], *args: Any, **options: Any) -> list[Any]:
            names = self.names if len(self.names) == len(requests) else map(str, range(len(requests)))
            for name, (_, context, continuation) in zip(names, requests, strict=True):
                check_length(name, len(context) + len(continuation), self.max_length)
            longest = max(
                (len(context) + len(continuation) for _, context, continuation in requests), default=1
            )
            asked: Any = self.batch_size
            self.batch_size_per_gpu = self.count_rows(longest)
            try:
                return super()._loglikelihood_tokens(requests, *args, **options)
            finally:
                self.batch_size_per_gpu = asked

        def count_rows(self, longest: int) -> int:
            """Prompts of one pass: lm_eval wants the logits of every position of all of them."""
            vocabulary = self.model.get_output_embeddings().weight.shape[0]
            return bound_rows(int(self.batch_size), longest, vocabulary)

    return TargetLM


def check_logprob(name: str, logprob: float) -> None:
    """Refuse a log-likelihood that is no number.

    Raises:
        ModelError: naming the row.
    """
    if not math.isfinite(logprob):
        raise ModelError(
            name,
            expected="finite log-likelihoods",
            found=str(logprob),
            fix="load the model in float32 or bfloat16; if that does not help, its weights are broken",
        )


def check_length(name: str, length: int, limit: int) -> None:
    """Refuse a prompt with an option that would be cut.

    Raises:
        ModelError: naming the row.
    """
    if length > limit:
        raise ModelError(
            name,
            expected=f"at most {limit} tokens, the model's context",
            found=str(length),
            fix="use a model with a longer context, or leave this benchmark out",
        )


def cut_at(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stop strings."""
    places = [text.find(stop) for stop in stops if stop and stop in text]
    return text[: min(places)] if places else text


def render_history(chat: Any, history: Sequence[Mapping[str, str]]) -> str:
    """A conversation as the model reads it; a last assistant turn is left open, to be gone on with."""
    if history[-1]["role"] != "assistant":
        return chat.render(history)
    return chat.render(history[:-1]) + history[-1]["content"]


def make_lm(target: Any, max_new_tokens: int) -> Any:
    """The target as an `LM` of lm_eval 0.4.13.

    Args:
        target: a harc.suites.target.Target.
        max_new_tokens: longest response, whatever the task says.
    """

    base: Any = make_lm_class()

    class ChatLM(base):
        def __init__(self) -> None:
            super().__init__(target)
            self.finish_reasons: dict[str, str] = {}

        def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
            """The prompt's own tokens, then the continuation's: lm_eval would move a template's last line breaks into
            the continuation, where they may be split otherwise than in the prompt that the model answers.
            """
            return self.chat.tokenize(context), self.chat.tokenize(continuation)

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            for request in requests:
                check_greedy(request.task_name, request.args[1])
            answers = target.decode(
                [self.chat.tokenize(request.args[0]) for request in requests],
                max_new_tokens=max_new_tokens,
                names=[f"{request.task_name}: item {request.doc_id}" for request in requests],
            )
            for request, answer in zip(requests, answers, strict=True):
                self.finish_reasons[request.args[0]] = answer.finish_reason
            return [
                cut_at(answer.text, list_stops(request.args[1]))
                for request, answer in zip(requests, answers, strict=True)
            ]

    return ChatLM()


def list_stops(options: Mapping[str, Any]) -> list[str]:
    """The stop strings of a task's generation options."""
    stops = options.get("until") or []
    return [stops] if isinstance(stops, str) else list(stops)


def check_greedy(task: str, options: Mapping[str, Any]) -> None:
    """Refuse a task that wants samples: every benchmark here is decoded greedily.

    Raises:
        ModelError: naming the task.
    """
    if options.get("do_sample") or (options.get("temperature") or 0) > 0:
        raise ModelError(
            f"lm_eval task {task}",
            expected="greedy decoding",
            found=str(dict(options)),
            fix="use another task",
        )
