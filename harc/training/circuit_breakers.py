"""Circuit Breakers: harmful answers are rerouted away from where the base represents them, the rest is retained.

(Zou et al., arXiv 2406.04313, equations of representation rerouting; original code by Andy Zou, MIT, 2024.)
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from harc.methods.losses import reroute_cost, state_distance
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat
from harc.settings.baselines import locate_depth
from harc.settings.training import MethodSettings
from harc.training.batches import EncodedRow, TokenBatch, collate_groups, swap_responses
from harc.training.context import Context
from harc.training.forward import AdapterForward, Wanted
from harc.training.objectives import PlainObjective


@dataclass(frozen=True)
class PairedBatch:
    """A batch and the term that reads it."""

    role: Literal["reroute", "retain"]
    batch: TokenBatch


class CircuitBreakerObjective(PlainObjective):
    """alpha * p * L_retain + alpha * (1 - p) * L_reroute, with p the progress along the schedule.

    L_reroute: mean over target slots and over tokens, prompt and harmful answer, of relu(cos(adapted, base)).
    L_retain: mean over all slots that are run and over tokens of ||adapted - base||_2 on benign rows, and on harmful
    prompts with their refusals.

    Departures from the original code: residuals before the final norm at the last slot; padding does not count in
    the retaining mean, where it made the term weaker the more padding a batch had.
    """

    def __init__(self, settings: MethodSettings, backbone: Backbone, seed: int) -> None:
        super().__init__(settings)
        own = settings.circuit_breakers
        targets = sorted({locate_depth(depth, backbone.n_layers) for depth in own.target_depths})
        last = min(targets[-1] + 1, backbone.n_layers)
        self._wanted = {
            "reroute": Wanted(pair_slots=tuple(targets), stop=True),
            "retain": Wanted(pair_slots=tuple(range(last + 1)), stop=True),
        }
        self._schedule = own.schedule_steps or 2 * settings.steps
        self._progress = 0.0
        self._seed, self._calls = seed, 0
        generator = torch.Generator().manual_seed(seed)
        shift = torch.randn(len(targets), backbone.hidden_size, generator=generator)
        self._shift = shift / shift.norm(dim=-1, keepdim=True)

    def begin_step(self, step: int) -> None:
        """Move along the schedule."""
        self._progress = step / self._schedule

    def collate(self, rows: Sequence[EncodedRow], backbone: Backbone) -> list[PairedBatch]:
        """Harmful prompts with harmful answers to reroute; benign rows (and refusals) to retain."""
        own = self.settings.circuit_breakers
        draws = random.Random(f"{self._seed} {self._calls}")
        self._calls += 1
        unsafe = [
            self._empty_prompt(row, backbone.chat) if draws.random() < own.empty_prompt_share else row
            for row in swap_responses([row for row in rows if row.is_harmful])
        ]
        kept = [row for row in rows if own.retain_refusals or not row.is_harmful]
        tokens = self.settings.pass_tokens
        return [PairedBatch("reroute", batch) for batch in collate_groups(unsafe, backbone, tokens)] + [
            PairedBatch("retain", batch) for batch in collate_groups(kept, backbone, tokens)
        ]

    @staticmethod
    def _empty_prompt(row: EncodedRow, chat: ChatFormat) -> EncodedRow:
        """The row without the user's text: the template's own tokens around nothing."""
        prompt = chat.tokenize(chat.render([{"role": "user", "content": ""}]))
        return replace(row, ids=(*prompt, *row.ids[row.prompt_length :]), prompt_length=len(prompt))

    def losses(self, module: AdapterForward, batches: Sequence[PairedBatch]) -> Iterator[Tensor]:
        """One loss per group; the groups' shares are by tokens."""
        self._sums = {}
        counts = {
            role: sum(int(part.batch.attention_mask.sum()) for part in batches if part.role == role)
            for role in self._wanted
        }
        alpha, progress = self.settings.circuit_breakers.alpha, self._progress
        weights = {"reroute": alpha * (1 - progress), "retain": alpha * progress}
        for part in batches:
            outcome = module(part.batch, self._wanted[part.role])
            mask = part.batch.attention_mask.to(outcome.base.device)
            value = self._measure(part.role, outcome.adapted, outcome.base, mask) / counts[part.role]
            self.count(**{part.role: value, "total": weights[part.role] * value})
            yield weights[part.role] * value

    def _measure(
        self,
        role: str,
        adapted: Float[Tensor, "slots batch time hidden"],
        base: Float[Tensor, "slots batch time hidden"],
        mask: Int[Tensor, "batch time"],
    ) -> Float[Tensor, ""]:
        """Sum over tokens of the mean over slots."""
        own, length = self.settings.circuit_breakers, base.norm(dim=-1)
        if role == "retain":
            distance = state_distance(adapted, base)
            if own.retain_unit == "base_norm":
                distance = distance / length.clamp_min(1e-6)  # padding may have no length
            return (distance.mean(0) * mask).sum()
        if own.start_shift:
            shift = self._shift.to(base.device)[:, None, None]
            base = base + own.start_shift * length[..., None] * shift
        return (reroute_cost(adapted, base).mean(0) * mask).sum()

    def describe_step(self) -> dict[str, Any]:
        """Progress along the schedule."""
        return {"progress": self._progress}

    def export_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """How many micro-batches were drawn."""
        return {}, {"calls": self._calls}

    def import_state(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take up the number of micro-batches."""
        self._calls = values["calls"]


def create_objective(context: Context) -> CircuitBreakerObjective:
    """Circuit Breakers on the adapted model."""
    return CircuitBreakerObjective(context.settings, context.adapted, context.seed)
