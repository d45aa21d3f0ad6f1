"""RepBend: unsafe answers are pushed away from the base's states and bunched together, safe ones held in place.

(Yousefpour et al., arXiv 2504.01550; terms as coded in AIM-Intelligence/RepBend@4f49776, written from the mathematics.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harc.methods.losses import limited_push, mutual_distance, state_distance
from harc.model.backbones import Backbone
from harc.settings.baselines import locate_depth
from harc.settings.training import MethodSettings
from harc.training.batches import EncodedRow, TokenBatch, collate_groups, collate_rows, swap_responses
from harc.training.context import Context
from harc.training.forward import AdapterForward, Outcome, Wanted
from harc.training.objectives import PlainObjective


@dataclass(frozen=True)
class SidedBatch:
    """A batch of safe rows (wanted responses) or of unsafe ones (harmful prompts with harmful answers)."""

    side: Literal["safe", "unsafe"]
    batch: TokenBatch


class RepBendObjective(PlainObjective):
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
        own = settings.repbend
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

    def losses(self, module: AdapterForward, batches: Sequence[SidedBatch]) -> Iterator[Tensor]:
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

    def _hold(self, outcome: Outcome, batch: TokenBatch, tokens: int, benign: int) -> Tensor:
        own = self.settings.repbend
        mask = batch.response_mask.to(outcome.base.device)
        retain = (state_distance(outcome.adapted, outcome.base).mean(0) * mask).sum() / tokens
        kl = own.kl_temperature**2 * outcome.kl / benign
        total = own.retain_weight * retain + own.kl_weight * kl
        self.count(retain=retain, kl=kl, total=total)
        return total

    def _push(self, outcome: Outcome, batch: TokenBatch) -> Tensor:
        own = self.settings.repbend
        mask = batch.response_mask.to(outcome.base.device)
        distance = limited_push(outcome.adapted, outcome.base, own.push_limit)
        push = (distance.mean(0) * mask).sum() / mask.sum()
        rows = torch.arange(len(batch.t_post))
        cluster = mutual_distance(outcome.adapted[:, rows, batch.t_post])
        total = own.cluster_weight * cluster - own.push_weight * push
        self.count(push=push, cluster=cluster, total=total)
        return total


def create_objective(context: Context) -> RepBendObjective:
    """RepBend on the adapted model."""
    return RepBendObjective(context.settings, context.adapted)
