"""What an objective is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harc.core.errors import DataError
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
