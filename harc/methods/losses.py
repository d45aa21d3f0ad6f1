"""The loss terms: coupling hinges, KL to the base model, cross-entropy on refusals.

KL and cross-entropy read logits a few positions at a time and keep only the gradient of the hidden states, so
that the full logits of a batch never exist.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, log_softmax

Head = Callable[[Float[Tensor, "rows hidden"]], Float[Tensor, "rows vocabulary"]]


def slot_cosines(
    hidden: Float[Tensor, "slots batch hidden"], directions: Float[Tensor, "slots hidden"]
) -> Float[Tensor, "slots batch"]:
    """Cosine of each residual with its slot's direction, which is held fixed; float32."""
    return cosine_similarity(hidden.float(), directions.detach()[:, None], dim=-1)


def coupling_cost(
    refusal: Float[Tensor, "slots batch"],
    harmfulness: Float[Tensor, "slots batch"],
    is_harmful: Bool[Tensor, " batch"],
    margin: float,
) -> Float[Tensor, "slots batch"]:
    """Two hinges a sample: harmful rows are pushed above the margin, benign rows below zero.

    [m - a]+ + [m - b]+ for harmful rows, [a]+ + [b]+ for the others, with a, b the cosines on the refusal and
    the harmfulness direction; the loss is the mean over slots and samples. The same on the prompt side (a at
    t_post, b at t_inst) and on the response side (both on the pooled response). (coupling_loss,
    main/losses.py@c3565e5.)
    """
    harmful = torch.relu(margin - refusal) + torch.relu(margin - harmfulness)
    benign = torch.relu(refusal) + torch.relu(harmfulness)
    return torch.where(is_harmful, harmful, benign)


class _ByChunks(torch.autograd.Function):
    """Sum of `term(hidden[i:j], i, j)` over chunks of rows; the gradient is made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, term: Callable[[Tensor, int, int], Tensor], rows: int) -> Tensor:
        gradient = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(hidden), rows):
            stop = min(start + rows, len(hidden))
            part = hidden[start:stop].detach().requires_grad_(gradient is not None)
            with torch.set_grad_enabled(gradient is not None):
                value = term(part, start, stop)
            total += value.detach()
            if gradient is not None:
                gradient[start:stop] = torch.autograd.grad(value, part)[0]
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_output, None, None


def kl_sum(
    student: Float[Tensor, "rows hidden"],
    teacher: Float[Tensor, "rows hidden"],
    head: Head,
    chunk: int = 256,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Sum over rows of KL(teacher || student) over the whole vocabulary, float32 (kl_retain_loss,
    main/losses.py).

    Args:
        student, teacher: final hidden states of the adapted and of the base model at the same positions.
        head: hidden states to logits.
        chunk: rows whose logits exist at one time.
        temperature: divides the logits of both.
    """

    def term(part: Tensor, start: int, stop: int) -> Tensor:
        with torch.no_grad():
            target = log_softmax(head(teacher[start:stop]).float() / temperature, dim=-1)
        return (target.exp() * (target - log_softmax(head(part).float() / temperature, dim=-1))).sum()

    return _ByChunks.apply(student, term, chunk)


def cross_entropy_sum(
    hidden: Float[Tensor, "rows hidden"], labels: Int[Tensor, " rows"], head: Head, chunk: int = 256
) -> Float[Tensor, ""]:
    """Sum over rows of the cross-entropy of `labels`, the tokens that follow; float32."""

    def term(part: Tensor, start: int, stop: int) -> Tensor:
        return cross_entropy(head(part).float(), labels[start:stop], reduction="sum")

    return _ByChunks.apply(hidden, term, chunk)


def state_distance(
    adapted: Float[Tensor, "*places hidden"], base: Float[Tensor, "*places hidden"]
) -> Float[Tensor, "*places"]:
    """||adapted - base||_2 per state, float32; its gradient at 0 is 0 (Circuit Breakers' and RepBend's retaining)."""
    return torch.linalg.vector_norm(adapted.float() - base.float(), dim=-1)


def reroute_cost(
    adapted: Float[Tensor, "*places hidden"], base: Float[Tensor, "*places hidden"]
) -> Float[Tensor, "*places"]:
    """relu(cos(adapted, base)) per state, float32: 0 once a state is orthogonal to the base's (arXiv 2406.04313)."""
    return torch.relu(cosine_similarity(adapted.float(), base.float(), dim=-1))


def limited_push(
    adapted: Float[Tensor, "*places hidden"], base: Float[Tensor, "*places hidden"], limit: float | None
) -> Float[Tensor, "*places"]:
    """Distance of each state from the base's, held within `limit` times the base state's length; None: no bound.

    Past the limit the gradient is 0, so that a term which rewards distance stops there.
    """
    distance = state_distance(adapted, base)
    if limit is None:
        return distance
    return torch.minimum(distance, limit * torch.linalg.vector_norm(base.float(), dim=-1))


def mutual_distance(states: Float[Tensor, "slots rows hidden"]) -> Float[Tensor, ""]:
    """Mean over slots and over ordered pairs of different rows of 1 - cos; 0 where there is one row (RepBend's C)."""
    unit = torch.nn.functional.normalize(states.float(), dim=-1)
    rows = states.shape[1]
    if rows < 2:
        return states.new_zeros((), dtype=torch.float32)
    cosine = unit @ unit.transpose(1, 2)
    others = cosine.sum() - cosine.diagonal(dim1=1, dim2=2).sum()
    return 1 - others / (len(states) * rows * (rows - 1))
