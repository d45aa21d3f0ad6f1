"""One training stage of an organism: a mixture of rows, a learning-rate schedule, a criterion that ends it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from harc.core.terminal import track
from harc.settings.world import StageSettings
from harc.world.batches import Example, collate, draw_batches, split_by_length
from harc.world.world import make_generator

if TYPE_CHECKING:
    from transformers import PreTrainedModel


COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalize(gradient: Float[Tensor, "n rows cols"], iterations: int) -> Float[Tensor, "n rows cols"]:
    """Push the singular values of each matrix towards 1 (they end between about 0.7 and 1.2)."""
    a, b, c = COEFFICIENTS
    x = gradient / (gradient.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    for _ in range(iterations):
        square = x @ x.mT
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.mT if tall else x


class Muon:
    """Updates matrices in place from their gradients."""

    def __init__(self, parameters: Sequence[Tensor], momentum: float = 0.95, iterations: int = 5) -> None:
        """Group the matrices by shape."""
        self.groups: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter in parameters:
            self.groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self.buffers = {shape: torch.zeros(len(group), *shape) for shape, group in self.groups.items()}
        self.momentum, self.iterations = momentum, iterations

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One update: spectral norm `learning_rate`, more by sqrt(rows / cols) for tall matrices."""
        for shape, group in self.groups.items():
            gradient = torch.stack([parameter.grad for parameter in group])
            buffer = self.buffers[shape]
            buffer.lerp_(gradient, 1 - self.momentum)
            update = orthogonalize(gradient.lerp(buffer, self.momentum), self.iterations)
            scale = learning_rate * max(1.0, shape[0] / shape[1]) ** 0.5
            torch._foreach_add_(group, list(update.unbind(0)), alpha=-scale)


WARMUP_STEPS = 10
FLOOR = 0.1
"""Learning rate at the end of the cosine, and of the extra steps after it, as a share of the peak."""

Measure = Callable[["PreTrainedModel"], dict[str, float]]


def schedule_factor(step: int, settings: StageSettings) -> float:
    """Share of the peak rates at a step (from 0): linear warm-up, cosine to the floor, then the floor; or constant."""
    warm = min(1.0, (step + 1) / WARMUP_STEPS)
    if settings.constant_rate:
        return warm
    progress = min(1.0, step / settings.minimum_steps)
    return warm * (FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * progress)))


class StageOptimizer:
    """Muon for the matrices inside the blocks, AdamW for the (tied) embedding, the norms and the biases."""

    def __init__(self, model: "PreTrainedModel", settings: StageSettings) -> None:
        """Sort the model's parameters by their role."""
        import torch

        self.model, self.settings = model, settings
        embedding = model.get_input_embeddings().weight
        vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
        matrices = [p for p in model.parameters() if p.ndim == 2 and p is not embedding]
        self.muon = Muon(matrices)
        self.adamw = torch.optim.AdamW(
            [
                {"params": [embedding], "peak": settings.embedding_rate},
                {"params": vectors, "peak": settings.vector_rate},
            ],
            betas=(0.9, 0.95),
            weight_decay=0.0,
            fused=True,
        )

    def step(self, factor: float) -> None:
        """Update with the gradients there are, and clear them."""
        for group in self.adamw.param_groups:
            group["lr"] = factor * group["peak"]
        self.muon.step(factor * self.settings.matrix_rate)
        self.adamw.step()
        self.model.zero_grad(set_to_none=True)


def train_step(model: "PreTrainedModel", batch: Sequence[Example], pad_id: int, parts: int) -> float:
    """Accumulate the gradient of one batch; return its loss (nats per target, every row weighing the same)."""
    import torch.nn.functional as F

    total = 0.0
    for part in split_by_length(batch, parts):
        ids, sources, labels, weights = collate(part, pad_id)
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden.flatten(0, 1)[sources])
        loss = (F.cross_entropy(logits, labels, reduction="none") * weights).sum() / len(batch)
        loss.backward()
        total += float(loss.detach())
    return total


def meets(metrics: Mapping[str, float], criterion: Mapping[str, float]) -> bool:
    """Whether every metric of a criterion reaches its bound."""
    return all(metrics[name] >= bound for name, bound in criterion.items())


def run_stage(
    model: "PreTrainedModel",
    name: str,
    settings: StageSettings,
    pools: Mapping[str, Sequence[Example]],
    measure: Measure,
    seed: int,
    batch_size: int,
    parts: int,
    pad_id: int,
) -> tuple[list[dict], dict[str, float], bool]:
    """Train `model` in place until the criterion holds or the steps run out.

    The optimiser is new in each stage, so that a stage is a pure function of the weights it starts from: a run
    killed in a later stage resumes bit-identically from weights alone.

    Returns:
        Log rows (step, loss, learning rate, metrics where measured), the last metrics, whether they suffice.
    """
    optimizer = StageOptimizer(model, settings)
    batches = draw_batches(pools, settings.mixture, batch_size, make_generator(seed, "batches", name))
    log: list[dict] = []
    metrics: dict[str, float] = {}
    model.train()
    with track(settings.maximum_steps, f"stage {name}") as bar:
        for step in range(settings.maximum_steps):
            factor = schedule_factor(step, settings)
            loss = train_step(model, next(batches), pad_id, parts)
            optimizer.step(factor)
            bar.advance(1, loss=loss)
            row: dict = {"stage": name, "step": step + 1, "loss": loss, "rate_factor": factor}
            done = step + 1
            due = (
                done >= settings.minimum_steps and (done - settings.minimum_steps) % settings.check_every == 0
            )
            if due or done == settings.maximum_steps:
                metrics = measure(model)
                row.update(metrics)
            log.append(row)
            if due and meets(metrics, settings.criterion):
                break
    return log, metrics, meets(metrics, settings.criterion)
