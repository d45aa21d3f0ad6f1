"""Linear layers on a CPU with their weights laid out once, as oneDNN multiplies them, instead of at every product.

A product of few rows, as in decoding, spends half its time on laying the weights out, whichever library does it. With
weights laid out beforehand it runs at the machine's full rate, and a row's result no longer depends on what else is in
the batch. Sums run in another order, so results change by rounding.

The operators are those that torch.compile puts in for frozen weights (torch/_inductor/fx_passes/mkldnn_fusion.py); they
are torch's own, not public, so whatever is missing or disagrees leaves a layer as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

LARGE = 50_000_000
"""Weights from which on a CPU's time goes into products; smaller models run as they are, and keep their last bits."""
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.05}  # of a trial product, relative to its largest value


def is_large(model: torch.nn.Module) -> bool:
    """Whether a model is worth what saves products on a CPU."""
    return sum(part.numel() for part in model.parameters()) >= LARGE


@contextmanager
def prepack_linears(model: torch.nn.Module) -> Iterator[int]:
    """Run a model's linear layers on weights laid out for oneDNN; gives the number of layers that are.

    Costs a copy of their weights while it lasts, and some 0.3 s a gigabyte to make it. The weights must not change
    meanwhile, and no gradient passes through. Small models are left as they are.

    Args:
        model: any module, with or without adapters and hooks.
    """
    layers = [part for part in model.modules() if type(part) is torch.nn.Linear and _can_pack(part)]
    packed = []
    if layers and is_large(model) and _try_product(layers[0]):
        packed = layers
    for layer in packed:
        layer.forward = partial(_multiply, _lay_out(layer), layer.bias)
    try:
        yield len(packed)
    finally:
        for layer in packed:
            del layer.forward


def _can_pack(layer: torch.nn.Linear) -> bool:
    """Whether the operators know a layer, and nobody (accelerate's hooks) has put another forward in its place."""
    plain = layer.weight.device.type == "cpu" and layer.weight.dtype in TOLERANCES
    return plain and "forward" not in layer.__dict__


def _lay_out(layer: torch.nn.Linear) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)


def _multiply(
    weights: Tensor, bias: Tensor | None, inputs: Float[Tensor, "*rows inputs"]
) -> Float[Tensor, "*rows outputs"]:
    return torch.ops.mkldnn._linear_pointwise(inputs, weights, bias, "none", [], "")


@torch.no_grad()
def _try_product(layer: torch.nn.Linear) -> bool:
    """Whether the operators are there, take this layer's numbers, and give the product that torch gives."""
    weight = layer.weight
    rows = torch.linspace(-1, 1, 3 * layer.in_features).view(3, -1).to(weight.dtype)
    expected = layer(rows).float()
    try:
        found = _multiply(_lay_out(layer), layer.bias, rows).float()
    except (AttributeError, RuntimeError, NotImplementedError):  # built without oneDNN, or with another one
        return False
    allowed = TOLERANCES[weight.dtype] * float(expected.abs().max())
    return bool((found - expected).abs().max() <= allowed)  # NaN is no agreement
