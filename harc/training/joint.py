"""HARC and DPO at once, on one adapter: an arm of the composition study (the paper trains them one after the other)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from harc.model.backbones import Backbone
from harc.training import coupling, preference
from harc.training.batches import EncodedRow, TokenBatch
from harc.training.context import Context
from harc.training.coupling import HarcObjective
from harc.training.preference import PreferenceObjective


@dataclass(frozen=True)
class JointBatch:
    """The same rows as both losses read them."""

    groups: Sequence[TokenBatch]
    pairs: Sequence[dict[str, Tensor]]


class JointObjective:
    """HARC's loss plus `preference.weight` times DPO's."""

    def __init__(self, harc: HarcObjective, preference: PreferenceObjective) -> None:
        self.harc, self.preference = harc, preference
        self.begin_step, self.describe_step, self.logs = harc.begin_step, harc.describe_step, harc.logs
        self.export_state, self.import_state, self.close = (
            harc.export_state,
            harc.import_state,
            preference.close,
        )

    def collate(self, rows: Sequence[EncodedRow], backbone: Backbone) -> list[JointBatch]:
        """The rows as HARC's groups and as preference pairs."""
        return [JointBatch(self.harc.collate(rows, backbone), self.preference.collate(rows, backbone))]

    def losses(self, module: Any, batches: Sequence[JointBatch]) -> Iterator[Tensor]:
        """HARC's losses, then DPO's."""
        for batch in batches:
            yield from self.harc.losses(module, batch.groups)
            weight = self.preference.settings.preference.weight
            for loss in self.preference.losses(module, batch.pairs):
                yield weight * loss

    def facts(self) -> dict[str, Tensor]:
        """HARC's terms and the preference loss; the total is their weighted sum."""
        facts, extra = self.harc.facts(), self.preference.facts()["preference"]
        weight = self.preference.settings.preference.weight
        return {**facts, "preference": extra, "total": facts["total"] + weight * extra}


def create_objective(context: Context) -> JointObjective:
    """Both objectives on one adapted model."""
    return JointObjective(coupling.create_objective(context), preference.create_objective(context))
