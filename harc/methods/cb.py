"""Circuit Breakers: harmful answers are rerouted away from where the base represents them, the rest is retained.

(Zou et al., arXiv 2406.04313, equations of representation rerouting; original code by Andy Zou, MIT, 2024.)
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from harc.core.lazy import Float, Int, torch
from harc.settings.methods import Look, Method, Section
from harc.training.batches import EncodedRow, TokenBatch, Wanted, collate_groups, swap_responses
from harc.training.objective import Objective, check_sides, locate_depth, state_distance

if TYPE_CHECKING:
    from harc.model.backbones import Backbone
    from harc.model.chat import ChatFormat
    from harc.settings.training import MethodSettings
    from harc.training.forward import AdapterForward
    from harc.training.objective import Context


class CircuitBreakerSettings(Section):
    """Circuit Breakers by representation rerouting (Zou et al., arXiv 2406.04313)."""

    key: ClassVar = "circuit_breakers"
    title: ClassVar = "Circuit Breakers"

    alpha: float = Field(
        10.0, gt=0, description="scale of both terms (lorra_circuit_breaker_llama3_8b.sh; Mistral: 5)"
    )
    target_depths: tuple[float, ...] = Field(
        (0.3125, 0.625),
        min_length=1,
        description="slots that are rerouted (share of the blocks; layers 10 and 20 of 32 in the same file); blocks "
        "after the one that follows the last are not run while training, and get no update",
    )
    schedule_steps: int | None = Field(
        None,
        ge=1,
        description="steps over which the rerouting coefficient falls from alpha to 0 and the retaining one rises "
        "from 0; none: twice the run, so that it ends half-way, as published (150 of 300)",
    )
    retain_refusals: bool = Field(
        True,
        description="whether harmful prompts with their refusals are retained, as in the published Llama-3 run",
    )
    empty_prompt_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of harmful rows rerouted without the user's text (0.5 in the published Llama-3 run)",
    )
    start_shift: float = Field(
        0.0,
        ge=0,
        description="shift of the base's states in the rerouting term along a random direction that is drawn once per "
        "slot, as a share of their length. The cosine of equal states is at its top, where the gradient is zero: "
        "without a shift a fresh adapter in float32 never moves (in bfloat16, as published, rounding does it); ours",
    )
    retain_unit: Literal["absolute", "base_norm"] = Field(
        "absolute",
        description="what the retaining distance is measured in: absolute, as published; base_norm = shares of the "
        "base state's length, so that one alpha serves models of any residual length; ours",
    )


def check_settings(settings: MethodSettings) -> None:
    """Refuse batches of one side, and a schedule that ends before the run.

    Raises:
        ValueError: naming the setting.
    """
    check_sides(settings)
    schedule = CircuitBreakerSettings.of(settings).schedule_steps
    if schedule is not None and schedule < settings.steps:
        raise ValueError(
            f"circuit_breakers.schedule_steps: expected at least the run's {settings.steps} steps, past which the "
            f"rerouting coefficient would be negative; found {schedule}; raise it or shorten the run"
        )


METHOD = Method("cb", 30, aim="Circuit Breakers", section=CircuitBreakerSettings, check=check_settings)
PRESETS = {"cb": {"objective": "cb"}}
LOOKS = {"cb": Look("Circuit Breakers", 30, ("#56B4E9", "X", (0, (5, 1, 1, 1))), is_baseline=True)}


def create_objective(context: Context) -> CircuitBreakerObjective:
    """Circuit Breakers on the adapted model."""
    return CircuitBreakerObjective(context.settings, context.adapted, context.seed)


def list_depths(settings: MethodSettings) -> tuple[float, ...]:
    """Depths that are rerouted."""
    return CircuitBreakerSettings.of(settings).target_depths


def reroute_cost(
    adapted: Float[torch.Tensor, "*places hidden"], base: Float[torch.Tensor, "*places hidden"]
) -> Float[torch.Tensor, "*places"]:
    """relu(cos(adapted, base)) per state, float32: 0 once a state is orthogonal to the base's (arXiv 2406.04313)."""
    return torch.relu(torch.nn.functional.cosine_similarity(adapted.float(), base.float(), dim=-1))


@dataclass(frozen=True)
class PairedBatch:
    """A batch and the term that reads it."""

    role: Literal["reroute", "retain"]
    batch: TokenBatch


class CircuitBreakerObjective(Objective):
    """alpha * p * L_retain + alpha * (1 - p) * L_reroute, with p the progress along the schedule.

    L_reroute: mean over target slots and over tokens, prompt and harmful answer, of relu(cos(adapted, base)).
    L_retain: mean over all slots that are run and over tokens of ||adapted - base||_2 on benign rows, and on harmful
    prompts with their refusals.

    Departures from the original code: residuals before the final norm at the last slot; padding does not count in
    the retaining mean, where it made the term weaker the more padding a batch had.
    """

    def __init__(self, settings: MethodSettings, backbone: Backbone, seed: int) -> None:
        super().__init__(settings)
        self.own = own = CircuitBreakerSettings.of(settings)
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
        own = self.own
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

    def losses(self, module: AdapterForward, batches: Sequence[PairedBatch]) -> Iterator[torch.Tensor]:
        """One loss per group; the groups' shares are by tokens."""
        self._sums = {}
        counts = {
            role: sum(int(part.batch.attention_mask.sum()) for part in batches if part.role == role)
            for role in self._wanted
        }
        alpha, progress = self.own.alpha, self._progress
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
        adapted: Float[torch.Tensor, "slots batch time hidden"],
        base: Float[torch.Tensor, "slots batch time hidden"],
        mask: Int[torch.Tensor, "batch time"],
    ) -> Float[torch.Tensor, ""]:
        """Sum over tokens of the mean over slots."""
        own, length = self.own, base.norm(dim=-1)
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

    def export_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """How many micro-batches were drawn."""
        return {}, {"calls": self._calls}

    def import_state(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        """Take up the number of micro-batches."""
        self._calls = values["calls"]
