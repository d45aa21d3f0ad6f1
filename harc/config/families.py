"""Settings of the comparison across model families: further models of which the direction structure alone is read."""

from pydantic import Field

from harc.config.backbones import BackboneSettings
from harc.config.base import Settings


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
