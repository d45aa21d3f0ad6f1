"""The model under test as lm-evaluation-harness sees it: our chat template, our decoder, adapter or steering left on.

Nothing is merged: the harness gets token probabilities from the model as it stands, and text from our decoder.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harc.core.errors import ModelError
from harc.suites.likelihoods import make_lm_class


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

    class ChatLM(make_lm_class()):
        def __init__(self) -> None:
            super().__init__(target)
            self.finish_reasons: dict[str, str] = {}

        def apply_chat_template(
            self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
        ) -> str:
            return render_history(target.backbone.chat, chat_history)

        def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
            """The prompt's own tokens, then the continuation's: lm_eval would move a template's last line breaks into
            the continuation, where they may be split otherwise than in the prompt that the model answers.
            """
            chat = target.backbone.chat
            return chat.tokenize(context), chat.tokenize(continuation)

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            for request in requests:
                check_greedy(request.task_name, request.args[1])
            answers = target.decode(
                [target.backbone.chat.tokenize(request.args[0]) for request in requests],
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
