"""Drawing tokens: greedy, or by temperature and top-p with a generator of each prompt's own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harc.core.files import sha256_text


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: above 0.
        top_p: share of the probability that tokens are drawn from.
        seed: equal seeds give equal draws.
    """

    temperature: float
    top_p: float = 1.0
    seed: int = 0


def keep_top_p(logits: Float[Tensor, "batch vocabulary"], top_p: float) -> Float[Tensor, "batch vocabulary"]:
    """Logits with all but the likeliest tokens at minus infinity: the fewest that hold `top_p` of the probability."""
    values, order = logits.sort(dim=-1, descending=True)
    before = values.softmax(-1).cumsum(-1) - values.softmax(-1)
    return torch.full_like(logits, -math.inf).scatter(
        -1, order, values.masked_fill(before >= top_p, -math.inf)
    )


class TokenSampler:
    """Draws the next token of every prompt in a batch.

    A prompt's draws depend on its tokens and the seed alone, not on what else is in the batch, so a resumed run gives
    what an unbroken one would.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> None:
        """Make one generator per prompt."""
        self.sampling = sampling
        self.generators = []
        for prompt in prompts:
            digest = sha256_text(f"{sampling.seed}/{','.join(map(str, prompt))}")
            self.generators.append(torch.Generator().manual_seed(int(digest[:15], 16)))

    def __call__(
        self, logits: Float[Tensor, "batch vocabulary"], rows: Sequence[int]
    ) -> Int[Tensor, " batch"]:
        """One token per row; `rows` names the prompt behind each."""
        scaled = logits.float().cpu() / self.sampling.temperature
        if self.sampling.top_p < 1:
            scaled = keep_top_p(scaled, self.sampling.top_p)
        drawn = [
            torch.multinomial(values.softmax(-1), 1, generator=self.generators[row])
            for values, row in zip(scaled, rows, strict=True)
        ]
        return torch.cat(drawn).to(logits.device)
