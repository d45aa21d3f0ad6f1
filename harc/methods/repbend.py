"""RepBend: unsafe answers are pushed away from the base's states and bunched together, safe ones held in place.

(Yousefpour et al., arXiv 2504.01550; terms as coded in AIM-Intelligence/RepBend@4f49776, written from the mathematics.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from harc.core.lazy import Float, torch
from harc.settings.methods import Look, Method, Section
from harc.training.batches import (
    EncodedRow,
    Outcome,
    TokenBatch,
    Wanted,
    collate_groups,
    collate_rows,
    swap_responses,
)
from harc.training.objective import Objective, check_sides, locate_depth, state_distance

if TYPE_CHECKING:
    from harc.model.backbones import Backbone
    from harc.settings.training import MethodSettings
    from harc.training.forward import AdapterForward
    from harc.training.objective import Context


class RepBendSettings(Section):
    """RepBend (Yousefpour et al., arXiv 2504.01550); names as in the code, AIM-Intelligence/RepBend@4f49776."""

    key: ClassVar = "repbend"
    title: ClassVar = "RepBend"

    retain_weight: float = Field(
        0.5, ge=0, description="weight of the safe rows' displacement (alpha, train.sh)"
    )
    push_weight: float = Field(
        0.5, ge=0, description="weight of the unsafe rows' displacement (beta, train.sh)"
    )
    cluster_weight: float = Field(
        0.1, ge=0, description="weight of the unsafe rows' mutual cosine distance (gamma, train.sh)"
    )
    kl_weight: float = Field(
        0.3, ge=0, description="weight of the divergence on benign rows (epsilon, train.sh)"
    )
    kl_temperature: float = Field(2.0, gt=0, description="temperature of that divergence (train.sh)")
    window_depths: tuple[float, float] = Field(
        (0.625, 0.9375),
        description="first and last slot that unsafe rows are pushed at (share of the blocks; 20 and 30 of 32)",
    )
    push_limit: float | None = Field(
        1.0,
        gt=0,
        description="displacement of a token, as a share of its base state's length, beyond which it is pushed no "
        "further; none = as published, where the term has no bound; ours",
    )

    @model_validator(mode="after")
    def _check_window(self) -> RepBendSettings:
        first, last = self.window_depths
        if not 0 < first <= last <= 1:
            raise ValueError(
                f"window_depths: expected 0 < first <= last <= 1; found {first}, {last}; swap or mend them"
            )
        return self


def check_settings(settings: MethodSettings) -> None:
    """Refuse batches of one side, and a single unsafe row where pairs of them are compared.

    Raises:
        ValueError: naming the setting.
    """
    check_sides(settings)
    harmful = settings.batch.harmful
    if harmful < 2 and RepBendSettings.of(settings).cluster_weight:
        raise ValueError(
            "batch.harmful: expected at least 2 rows, since RepBend's cluster term compares pairs of them; "
            f"found {harmful}; raise it, or set repbend.cluster_weight to 0"
        )


METHOD = Method("repbend", 40, section=RepBendSettings, check=check_settings)
PRESETS = {"repbend": {"objective": "repbend"}}
LOOKS = {"repbend": Look("RepBend", 40, ("#999999", "<", (0, (3, 1, 1, 1, 1, 1))), is_baseline=True)}


def create_objective(context: Context) -> RepBendObjective:
    """RepBend on the adapted model."""
    return RepBendObjective(context.settings, context.adapted)


def list_depths(settings: MethodSettings) -> tuple[float, ...]:
    """Ends of the window that unsafe rows are pushed at."""
    return RepBendSettings.of(settings).window_depths


def limited_push(
    adapted: Float[torch.Tensor, "*places hidden"],
    base: Float[torch.Tensor, "*places hidden"],
    limit: float | None,
) -> Float[torch.Tensor, "*places"]:
    """Distance of each state from the base's, held within `limit` times the base state's length; None: no bound.

    Past the limit the gradient is 0, so that a term which rewards distance stops there.
    """
    distance = state_distance(adapted, base)
    if limit is None:
        return distance
    return torch.minimum(distance, limit * torch.linalg.vector_norm(base.float(), dim=-1))


def mutual_distance(states: Float[torch.Tensor, "slots rows hidden"]) -> Float[torch.Tensor, ""]:
    """Mean over slots and over ordered pairs of different rows of 1 - cos; 0 where there is one row (RepBend's C)."""
    unit = torch.nn.functional.normalize(states.float(), dim=-1)
    rows = states.shape[1]
    if rows < 2:
        return states.new_zeros((), dtype=torch.float32)
    cosine = unit @ unit.transpose(1, 2)
    others = cosine.sum() - cosine.diagonal(dim1=1, dim2=2).sum()
    return 1 - others / (len(states) * rows * (rows - 1))


@dataclass(frozen=True)
class SidedBatch:
    """A batch of safe rows (wanted responses) or of unsafe ones (harmful prompts with harmful answers)."""

    side: Literal["safe", "unsafe"]
    batch: TokenBatch


class RepBendObjective(Objective):
    """a A - b U + c C + e K, each over one micro-batch.

    A: mean over all slots and over the safe rows' response tokens of ||adapted - base||_2.
    U: mean over the window's slots and over the unsafe rows' response tokens of the same distance, held within
       `push_limit` times the base state's length (as published it has no bound, and long runs diverge).
    C: mean over the window's slots and over pairs of unsafe rows of 1 - cos at the prompt's last token: minimised, so
       that unsafe requests come to look alike (the code's comment says the opposite).
    K: T^2 KL(base || adapted) at temperature T, summed over the benign rows' response tokens, over the number of rows.

    Departures: residuals before the final norm at the last slot; the divergence starts with the token that is
    predicted at t_post; unsafe rows are run up to the window's end.
    """

    def __init__(self, settings: MethodSettings, backbone: Backbone) -> None:
        super().__init__(settings)
        self.own = own = RepBendSettings.of(settings)
        first, last = (locate_depth(depth, backbone.n_layers) for depth in own.window_depths)
        self._wanted = {
            "safe": Wanted(
                pair_slots=tuple(range(backbone.n_layers + 1)),
                kl="anchored" if own.kl_weight else None,
                kl_temperature=own.kl_temperature,
            ),
            "unsafe": Wanted(pair_slots=tuple(range(first, last + 1)), stop=True),
        }

    def collate(self, rows: Sequence[EncodedRow], backbone: Backbone) -> list[SidedBatch]:
        """Safe rows by length; the unsafe ones in one batch, since C compares them with each other."""
        unsafe = swap_responses([row for row in rows if row.is_harmful])
        safe = collate_groups(rows, backbone, self.settings.pass_tokens)
        return [SidedBatch("safe", batch) for batch in safe] + [
            SidedBatch(
                "unsafe", collate_rows(unsafe, backbone.chat.post_instruction_count, backbone.chat.pad_id)
            )
        ]

    def losses(self, module: AdapterForward, batches: Sequence[SidedBatch]) -> Iterator[torch.Tensor]:
        """One loss per batch."""
        self._sums = {}
        safe = [part.batch for part in batches if part.side == "safe"]
        tokens = max(1, sum(int(batch.response_mask.sum()) for batch in safe))
        benign = max(1, sum(int((~batch.is_harmful).sum()) for batch in safe))
        for part in batches:
            outcome = module(part.batch, self._wanted[part.side])
            if part.side == "safe":
                yield self._hold(outcome, part.batch, tokens, benign)
            else:
                yield self._push(outcome, part.batch)

    def _hold(self, outcome: Outcome, batch: TokenBatch, tokens: int, benign: int) -> torch.Tensor:
        own = self.own
        mask = batch.response_mask.to(outcome.base.device)
        retain = (state_distance(outcome.adapted, outcome.base).mean(0) * mask).sum() / tokens
        kl = own.kl_temperature**2 * outcome.kl / benign
        total = own.retain_weight * retain + own.kl_weight * kl
        self.count(retain=retain, kl=kl, total=total)
        return total

    def _push(self, outcome: Outcome, batch: TokenBatch) -> torch.Tensor:
        own = self.own
        mask = batch.response_mask.to(outcome.base.device)
        distance = limited_push(outcome.adapted, outcome.base, own.push_limit)
        push = (distance.mean(0) * mask).sum() / mask.sum()
        rows = torch.arange(len(batch.t_post))
        cluster = mutual_distance(outcome.adapted[:, rows, batch.t_post])
        total = own.cluster_weight * cluster - own.push_weight * push
        self.count(push=push, cluster=cluster, total=total)
        return total
