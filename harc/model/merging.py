"""Folding a LoRA adapter into a model's weights: the one place that does, and it checks what comes out."""

import warnings
from collections import Counter
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from harc.core.errors import ModelError
from harc.model.backbones import Backbone
from harc.model.load import check_weights

PROBE_TOKENS = 16
MERGED_TOLERANCE = 1e-3  # relative, float32: rounding stays below 1e-5 in shallow models and grows with depth
MERGED_TOLERANCE_HALF = 0.1  # 16 bits round the update itself


def fold_adapter(backbone: Backbone) -> Backbone:
    """The same model with its adapter, if it has one, folded into the weights: faster, equal up to rounding.

    Raises:
        ModelError: if the folded model answers otherwise.
    """
    if not hasattr(backbone.model, "merge_and_unload"):
        return backbone
    return replace(backbone, model=merge_weights(backbone.model, backbone.source))


@torch.no_grad()
def merge_weights(adapted: Any, name: str = "adapter") -> Any:
    """The plain model that an adapted one amounts to, compared with it on a few tokens.

    A weight that another layer shares (a head tied to the embeddings) is copied first, so that the update reaches
    the layer that it was trained for alone.

    Args:
        adapted: a PEFT model in evaluation mode.
        name: of the adapter, for errors.

    Raises:
        ModelError: if the adapter is of a kind that cannot be folded in, or the folded model gives other logits.
    """
    adapted.eval()
    before = _probe_logits(adapted)
    _untie_updated(adapted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tied layers, which are untied above
            merged = adapted.merge_and_unload().eval()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as problem:
        raise _refuse(name, f"{type(problem).__name__}: {problem}") from problem
    check_weights(merged, f"{name}, merged")
    after = _probe_logits(merged)
    gap = float((after - before).norm() / before.norm())
    half = next(merged.parameters()).dtype != torch.float32
    if not gap <= (MERGED_TOLERANCE_HALF if half else MERGED_TOLERANCE):  # NaN is no agreement
        raise _refuse(name, f"logits that differ by {gap:.2g} of their norm")
    return merged


def _untie_updated(adapted: Any) -> None:
    """Give every layer with an update weights of its own."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [part.get_base_layer() for part in adapted.modules() if isinstance(part, BaseTunerLayer)]
    owners = Counter(
        parameter.data_ptr()
        for part in adapted.modules()
        for parameter in part.parameters(recurse=False)
        if parameter.numel()
    )
    for layer in layers:
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and owners[weight.data_ptr()] > 1:
            layer.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)


def _probe_logits(model: Any) -> Tensor:
    """Float32 logits of a few tokens spread over the vocabulary."""
    size = model.get_input_embeddings().weight.shape[0]
    device = next(model.parameters()).device
    ids = torch.linspace(0, size - 1, min(PROBE_TOKENS, size), device=device).long()[None]
    return model(input_ids=ids, use_cache=False).logits.float()


def _refuse(name: str, found: str) -> ModelError:
    return ModelError(
        name,
        expected="an adapter that can be folded into the weights",
        found=found,
        fix="use a plain LoRA adapter on linear layers, or leave it apart (--dtype bfloat16 does)",
    )
