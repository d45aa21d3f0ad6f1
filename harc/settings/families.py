"""Settings of the comparison across model families: further models of which the direction structure alone is read."""

from collections.abc import Collection

from pydantic import Field

from harc.settings.backbones import BackboneSettings
from harc.settings.base import Settings


class FamilySettings(Settings):
    """Models beside the study's backbones: trained or fetched like these, but with no method on them."""

    backbones: dict[str, BackboneSettings] = Field(
        {},
        description="further models by name, one of each family; the study's backbones are compared with them",
    )
    seeds: tuple[int, ...] = Field(
        (0,),
        min_length=1,
        description="seeds that families are compared on, some of the study's (seed); ours",
    )

    def check_study(self, backbones: Collection[str], seeds: Collection[int]) -> None:
        """Compare with the study that the families stand beside.

        Raises:
            ValueError: for a model that is a backbone already, and for a seed that the study lacks.
        """
        if both := sorted(set(backbones) & self.backbones.keys()):
            raise ValueError(f"families.backbones that are no backbones already (found {', '.join(both)})")
        if self.backbones and (unknown := set(self.seeds) - set(seeds)):
            raise ValueError(f"families.seeds of {', '.join(map(str, seeds))} (not {min(unknown)})")
