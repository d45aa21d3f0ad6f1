"""Products of bfloat16 on CPUs that have no instructions for them.

Such a product is a float32 product of the same values, rounded at the end: this is how CPUs with the instructions
define it, up to the order of its sums. Without them torch takes 3 to 9 times as long as for a float32 product.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 2**22
"""Weights that are widened at a time: few enough to stay in the processor's cache, enough for its full rate."""


def multiplies_bfloat16() -> bool:
    """Whether the CPU has instructions for products of bfloat16."""
    told = torch.cpu.get_capabilities()
    return any(told.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))


def widen_linears(model: torch.nn.Module) -> int:
    """Have a model's linear layers multiply in float32 where it is in bfloat16 on a CPU without instructions for it.

    Weights stay as they are, and may change or move afterwards.

    Args:
        model: any module, with or without adapters and hooks.

    Returns:
        The number of layers that do.
    """
    if multiplies_bfloat16():
        return 0
    layers = [
        part
        for part in model.modules()
        if type(part) is torch.nn.Linear
        and part.weight.dtype == torch.bfloat16
        and "forward" not in part.__dict__
    ]
    for layer in layers:
        layer.forward = partial(_run_layer, layer)
    return len(layers)


def _run_layer(layer: torch.nn.Linear, inputs: Tensor) -> Tensor:
    return multiply_wide(inputs, layer.weight, layer.bias)


def multiply_wide(
    inputs: Float[Tensor, "*rows inputs"],
    weight: Float[Tensor, "outputs inputs"],
    bias: Float[Tensor, " outputs"] | None = None,
) -> Float[Tensor, "*rows outputs"]:
    """`torch.nn.functional.linear`, with bfloat16 on the CPU multiplied and summed in float32, then rounded once.

    Gradients pass through to the inputs, as through frozen weights; anything else is left to torch.
    """
    if not (inputs.dtype == weight.dtype == torch.bfloat16 and inputs.device.type == "cpu"):
        return torch.nn.functional.linear(inputs, weight, bias)
    if torch.is_grad_enabled() and (weight.requires_grad or (bias is not None and bias.requires_grad)):
        return torch.nn.functional.linear(inputs, weight, bias)
    product: Tensor = _WideProduct.apply(inputs, weight)
    return product if bias is None else (product.float() + bias.float()).bfloat16()


class _WideProduct(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(weight)
        rows = inputs.reshape(-1, inputs.shape[-1]).float()
        outputs = inputs.new_empty(len(rows), len(weight))
        for start, block in _widen_blocks(weight):
            outputs[:, start : start + len(block)] = rows @ block.T
        return outputs.view(*inputs.shape[:-1], len(weight))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (weight,) = context.saved_tensors
        (gradient,) = gradients
        rows = gradient.reshape(-1, gradient.shape[-1])
        total = torch.zeros(len(rows), weight.shape[1])
        for start, block in _widen_blocks(weight):
            total.addmm_(rows[:, start : start + len(block)].float(), block)
        return total.bfloat16().view(*gradient.shape[:-1], weight.shape[1]), None


def _widen_blocks(weight: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Blocks of a weight's rows in float32, each with its first row's place; every one is written over the last."""
    rows = max(1, BLOCK // weight.shape[1])
    wide = torch.empty(min(rows, len(weight)), weight.shape[1])
    for start in range(0, len(weight), rows):
        part = weight[start : start + rows]
        yield start, wide[: len(part)].copy_(part)
