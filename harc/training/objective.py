"""What a training method plugs into the loop: its objective, and what that is made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from harc.core.errors import ConfigError, DataError
from harc.core.lazy import Float, torch
from harc.training.batches import EncodedRow, collate_groups

if TYPE_CHECKING:
    from harc.geometry.directions import Directions
    from harc.geometry.extraction import ResponsePairs
    from harc.model.backbones import Backbone
    from harc.settings.directions import DirectionSettings
    from harc.settings.training import MethodSettings


@dataclass(frozen=True)
class Sources:
    """What directions are read from at a refresh, and what held-out projections are read from.

    Attributes:
        harmful, harmless: extraction prompts.
        pairs: extraction pairs.
        held_out: (harmful, harmless) prompts that training does not see.
        settings: how directions are read.
    """

    harmful: Sequence[str]
    harmless: Sequence[str]
    pairs: ResponsePairs
    held_out: tuple[Sequence[str], Sequence[str]]
    settings: DirectionSettings


@dataclass(frozen=True)
class Context:
    """Everything that the objectives' factories choose from.

    Attributes:
        adapted: the model with its fresh adapter on.
        settings: the method.
        rows: what is trained on, in the order of the encoded rows.
        seed: of whatever the objective draws.
        sources: what directions are read from.
        directions: of the model without the adapter; None for objectives that read none.
    """

    adapted: Backbone
    settings: MethodSettings
    rows: Sequence[Mapping[str, Any]]
    seed: int
    sources: Sources
    directions: Directions | None = None

    def need_directions(self) -> Directions:
        """The directions.

        Raises:
            DataError: if there are none.
        """
        if self.directions is None:
            raise DataError(
                "directions", expected="directions of the base model", found="none", fix="extract them first"
            )
        return self.directions


class Objective:
    """A trained method. The loop calls begin_step once a step, then losses once a micro-batch.

    Whatever a method does not say of itself is that nothing is scheduled, logged apart or kept.
    """

    def __init__(self, settings: MethodSettings) -> None:
        self.settings = settings
        self._sums: dict[str, torch.Tensor] = {}

    def begin_step(self, step: int) -> None:
        """Do what is due before a step (schedules, refreshes); the adapter may be read, not changed."""

    def collate(self, rows: Sequence[EncodedRow], backbone: Backbone) -> Sequence[Any]:
        """The micro-batch's rows as batches that `losses` takes: here groups of rows of like length."""
        return collate_groups(rows, backbone, self.settings.pass_tokens)

    def losses(self, module: Any, batches: Sequence[Any]) -> Iterator[torch.Tensor]:
        """One loss for each group of a micro-batch's rows; they add up to the micro-batch's loss.

        The loop runs the backward pass of each before asking for the next.
        """
        raise NotImplementedError

    def count(self, **values: torch.Tensor) -> None:
        """Add to the micro-batch's sums for the log."""
        for name, value in values.items():
            part = value.detach().float()
            self._sums[name] = self._sums[name] + part if name in self._sums else part

    def facts(self) -> dict[str, torch.Tensor]:
        """Scalars of the last micro-batch for the log, on the device."""
        return self._sums

    def describe_step(self) -> dict[str, Any]:
        """Plain values for the log: schedules as they stand."""
        return {}

    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """Rows of the method's own logs, by file name without suffix; the files exist for every method."""
        return {"diagnostics": [], "selected_layers": []}

    def export_state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """(tensors, JSON values) that bring a fresh objective to where this one is."""
        return {}, {}

    def import_state(self, tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> None:
        """Take up an exported state."""

    def close(self) -> None:
        """Leave the model as it was found."""


def create_objective(context: Context) -> Objective:
    """The objective that drives the loop.

    Raises:
        ConfigError: for a method that is not trained.
        DataError: for rows or directions that the objective needs and lacks.
    """
    module = find_module(context.settings)
    if not hasattr(module, "create_objective"):
        raise ConfigError(
            "objective",
            expected="a method that is trained",
            found=f"{context.settings.objective}, which is fitted",
            fix="use `harc step fit_steering`, or fit_steering of harc.methods.cast",
        )
    return module.create_objective(context)


def find_module(settings: MethodSettings) -> Any:
    """The file of a method, by name: a change of one method's code makes the results of that method alone stale."""
    return import_module(f"harc.methods.{settings.objective}")


def needs_directions(settings: MethodSettings) -> bool:
    """Whether a method reads directions of the model without the adapter."""
    return getattr(find_module(settings), "DIRECTED", False)


def count_blocks(settings: MethodSettings, n_layers: int) -> int | None:
    """Blocks, from the first, that get an update: up to and with the one after the deepest slot read; None: all."""
    module = find_module(settings)
    if not hasattr(module, "list_depths"):
        return None
    return min(locate_depth(max(module.list_depths(settings)), n_layers) + 1, n_layers)


def locate_depth(depth: float, n_layers: int) -> int:
    """Slot at a share of the blocks, halves rounded up, at least 1 (slot 0 holds embeddings alone)."""
    return max(1, math.floor(depth * n_layers + 0.5))


def check_sides(settings: MethodSettings) -> None:
    """Refuse batches that lack rows to change or rows to keep.

    Raises:
        ValueError: naming both numbers.
    """
    counts = settings.batch.counts
    harmful, benign = counts["harmful"], counts["harmless"] + counts["pseudo_harmful"]
    if not harmful or not benign:
        raise ValueError(
            f"batch: expected harmful rows (their answers are pushed away) and benign rows (kept) for objective "
            f"{settings.objective}; found {harmful} harmful and {benign} benign; raise batch.harmful or batch.harmless"
        )


def state_distance(
    adapted: Float[torch.Tensor, "*places hidden"], base: Float[torch.Tensor, "*places hidden"]
) -> Float[torch.Tensor, "*places"]:
    """||adapted - base||_2 per state, float32; its gradient at 0 is 0 (Circuit Breakers' and RepBend's retaining)."""
    return torch.linalg.vector_norm(adapted.float() - base.float(), dim=-1)
