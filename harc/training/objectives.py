"""What a training method plugs into the loop, and the plain one: refusal SFT."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from harc.model.backbones import Backbone
from harc.settings.training import MethodSettings
from harc.training.batches import EncodedRow, TokenBatch, collate_groups
from harc.training.context import Context
from harc.training.forward import AdapterForward, Wanted, facts_of, sum_positions


@runtime_checkable
class Objective(Protocol):
    """A trained method. The loop calls begin_step once a step, then losses once a micro-batch."""

    def begin_step(self, step: int) -> None:
        """Do what is due before a step (schedules, refreshes); the adapter may be read, not changed."""

    def collate(self, rows: Sequence[EncodedRow], backbone: Backbone) -> Sequence[Any]:
        """The micro-batch's rows as batches that `losses` takes."""

    def losses(self, module: Any, batches: Sequence[Any]) -> Iterator[Tensor]:
        """One loss for each group of a micro-batch's rows; they add up to the micro-batch's loss.

        The loop runs the backward pass of each before asking for the next.
        """

    def facts(self) -> dict[str, Tensor]:
        """Scalars of the last micro-batch for the log, on the device."""

    def describe_step(self) -> dict[str, Any]:
        """Plain values for the log: schedules as they stand."""

    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of the method's own logs, by file name without suffix."""

    def export_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON values) that bring a fresh objective to where this one is."""

    def import_state(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take up an exported state."""

    def close(self) -> None:
        """Leave the model as it was found."""


class PlainObjective:
    """What objectives have in common: sums for the log, and nothing scheduled, logged apart or kept."""

    def __init__(self, settings: MethodSettings) -> None:
        self.settings = settings
        self._sums: dict[str, Tensor] = {}

    def begin_step(self, step: int) -> None:
        """Nothing is scheduled."""

    def collate(self, rows: Sequence[EncodedRow], backbone: Backbone) -> Sequence[Any]:
        """Groups of rows of like length."""
        return collate_groups(rows, backbone, self.settings.pass_tokens)

    def count(self, **values: Tensor) -> None:
        """Add to the micro-batch's sums for the log."""
        for name, value in facts_of(**values).items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value

    def facts(self) -> dict[str, Tensor]:
        """The loss terms of the last micro-batch."""
        return self._sums

    def describe_step(self) -> dict[str, Any]:
        """Nothing is scheduled."""
        return {}

    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """No logs of its own; the files exist for every method."""
        return {"diagnostics": [], "selected_layers": []}

    def export_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Nothing to keep."""
        return {}, {}

    def import_state(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Take up nothing."""

    def close(self) -> None:
        """Nothing was changed."""


class RefusalObjective(PlainObjective):
    """Supervised fine-tuning on refusals, with KL or cross-entropy on benign rows where their weights are
    set.

    The paper's SFT row has no published code or settings (facts of microsoft/HARC@c3565e5); this is HARC's
    cross-entropy term alone, at the same rows and steps.
    """

    def __init__(self, settings: MethodSettings) -> None:
        super().__init__(settings)
        loss = settings.loss
        self.wanted = Wanted(
            kl=settings.kl_first_token if loss.kl else None,
            refusal_ce=loss.ce > 0,
            benign_ce=loss.benign_ce > 0,
        )

    def losses(self, module: AdapterForward, batches: Sequence[TokenBatch]) -> Iterator[Tensor]:
        """Weighted cross-entropy and KL, each the mean over the micro-batch's tokens."""
        self._sums = {}
        tokens = count_tokens(batches, self.wanted)
        for batch in batches:
            outcome = module(batch, self.wanted)
            yield self.add_token_terms(outcome, tokens)

    def add_token_terms(self, outcome: Any, tokens: dict[str, int]) -> Tensor:
        """Weighted token terms of one group, and their sums for the log."""
        loss = self.settings.loss
        kl, ce = outcome.kl / tokens["kl"], outcome.refusal_ce / tokens["ce"]
        benign = outcome.benign_ce / tokens["benign_ce"]
        total = loss.kl * kl + loss.ce * ce + loss.benign_ce * benign
        self.count(total=total, kl=kl, ce=ce, benign_ce=benign)
        return total


def create_objective(context: Context) -> RefusalObjective:
    """Token terms alone."""
    return RefusalObjective(context.settings)


def count_tokens(batches: Sequence[TokenBatch], wanted: Wanted) -> dict[str, int]:
    """Denominators of the token means over a micro-batch, at least 1."""
    return {
        "kl": max(1, sum_positions(batches, "unshifted_positions")),  # as many as shifted ones
        "ce": max(1, sum_positions(batches, "refusal_positions")),
        "benign_ce": max(1, sum_positions(batches, "benign_positions")),
    }
