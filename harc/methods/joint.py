"""HARC and DPO together: one after the other, as the paper composes them, the other way round, or at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harc.core.lazy import torch
from harc.methods import dpo, harc
from harc.settings.methods import Look, Method

if TYPE_CHECKING:
    from harc.model.backbones import Backbone
    from harc.training.batches import EncodedRow, TokenBatch
    from harc.training.objective import Context

METHOD = Method("joint", 110, aim="HARC's loss and DPO's together", reads=("preference", *harc.METHOD.reads))
DIRECTED = True
PRESETS = {
    # The release's composition (main/train_dpo.py@c3565e5), and the two other orders of a composition study.
    "harc_dpo": {"objective": "dpo", "start_from": "harc"},
    "dpo_harc": {"objective": "harc", "start_from": "dpo"},
    "joint": {"objective": "joint"},
}
LOOKS = {
    "harc_dpo": Look("HARC+DPO", 90, ("#009E73", "*", (0, (4, 2)))),
    "dpo_harc": Look("DPO+HARC", 100),
    "joint": Look("HARC and DPO jointly", 110),
}


def create_objective(context: Context) -> JointObjective:
    """Both losses on one adapted model."""
    return JointObjective(context)


@dataclass(frozen=True)
class JointBatch:
    """The same rows as both losses read them."""

    groups: Sequence[TokenBatch]
    pairs: Sequence[dict[str, torch.Tensor]]


class JointObjective(harc.HarcObjective):
    """HARC's loss plus `preference.weight` times DPO's."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.settings, context.adapted, context.need_directions(), context.sources)
        self.dpo = dpo.create_objective(context)

    def collate(self, rows: Sequence[EncodedRow], backbone: Backbone) -> list[JointBatch]:
        """The rows as HARC's groups and as preference pairs."""
        return [JointBatch(super().collate(rows, backbone), self.dpo.collate(rows, backbone))]

    def losses(self, module: Any, batches: Sequence[Any]) -> Iterator[torch.Tensor]:
        """HARC's losses, then DPO's."""
        for batch in batches:
            yield from super().losses(module, batch.groups)
            for loss in self.dpo.losses(module, batch.pairs):
                yield self.dpo.own.weight * loss

    def facts(self) -> dict[str, torch.Tensor]:
        """HARC's terms and the preference loss; the total is their weighted sum."""
        facts, extra = super().facts(), self.dpo.facts()["preference"]
        return {**facts, "preference": extra, "total": facts["total"] + self.dpo.own.weight * extra}

    def close(self) -> None:
        """Take trl's patch off the model."""
        self.dpo.close()
