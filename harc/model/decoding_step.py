"""One call of a causal language model with a cache, in the words that its family takes."""

import inspect
from dataclasses import dataclass
from functools import cache
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from harc.core.errors import ModelError

CACHES = ("past_key_values", "cache_params")
"""Arguments in which families take keys and values, or states of a recurrence."""


@dataclass(frozen=True)
class Signature:
    """What a family's forward takes.

    Attributes:
        cache: name of the argument that holds the past.
        positions: whether it takes position_ids; others count them from the mask, or have none.
        last_only: whether it can be asked for the last token's logits alone.
    """

    cache: str
    positions: bool
    last_only: bool


def find_base(model: Any) -> Any:
    """The transformers model without a PEFT wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def read_signature(model: Any) -> Signature:
    """How a model is called.

    Raises:
        ModelError: for a model that keeps its past elsewhere (RWKV's `state`), or reads a second text (an encoder).
    """
    base = find_base(model)
    if getattr(base.config, "is_encoder_decoder", False):
        raise _refuse(type(base), "an encoder and a decoder")
    return _read_class(type(base))


@cache
def _read_class(kind: type) -> Signature:
    takes = inspect.signature(kind.forward).parameters
    caches = [name for name in CACHES if name in takes]
    if not caches:
        raise _refuse(kind, "a forward without past_key_values or cache_params")
    return Signature(caches[0], "position_ids" in takes, "logits_to_keep" in takes)


def _refuse(kind: type, found: str) -> ModelError:
    return ModelError(
        kind.__name__,
        expected="a decoder-only model that keeps its past in a cache of transformers",
        found=found,
        fix="use another model, or serve it and name the server (--endpoint)",
    )


def run_step(
    model: Any,
    ids: Int[Tensor, "batch time"],
    mask: Int[Tensor, "batch past_and_time"],
    positions: Int[Tensor, "batch time"],
    past: Any,
) -> Float[Tensor, "batch vocabulary"]:
    """Logits of the next token; `past` takes the new tokens in.

    A recurrence's state holds no padding, so its mask ends with the prompt.
    """
    signature = read_signature(model)
    first = mask.shape[1] == ids.shape[1]
    arguments = {
        "input_ids": ids,
        "attention_mask": mask if first or signature.cache == CACHES[0] else None,
        signature.cache: past,
        "use_cache": True,
    }
    if signature.positions:
        arguments["position_ids"] = positions
    if signature.last_only:
        arguments["logits_to_keep"] = 1
    return model(**arguments).logits[:, -1]
