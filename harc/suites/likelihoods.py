"""The model under test as lm-evaluation-harness takes it, with what the harness would let pass refused.

The harness cuts a prompt that does not fit from the left, takes 2048 tokens for the context of a model whose config is
nested, and ranks options by log-likelihoods that are NaN.
"""

import math
from functools import cache
from typing import Any

from harc.core.errors import ModelError
from harc.model.generation import context_length


def name_request(request: Any) -> str:
    """What a request of lm_eval is about: the row's own id, or the task and the item's number."""
    doc = request.doc if isinstance(request.doc, dict) else {}
    return str(doc.get("id") or f"{request.task_name}: item {request.doc_id}")


@cache
def make_lm_class() -> type:
    """A class of lm_eval 0.4.13 around a harc.suites.target.Target, to be subclassed."""
    from lm_eval.models.huggingface import HFLM

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
            return super()._loglikelihood_tokens(requests, *args, **options)

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
