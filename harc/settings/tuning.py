"""Settings of tuning: the grid of every method, and the declared criterion by which development prompts choose."""

from pydantic import Field, model_validator

from harc.settings.base import Settings
from harc.settings.training import SharedTraining


class TuningSettings(Settings):
    """One budget for every method: as many points each, all kept."""

    grids: dict[str, tuple[SharedTraining, ...]] = Field(
        {},
        description="points by method: what each changes of the method's settings; own choice, declared before any "
        "was run",
    )
    seeds: tuple[int, ...] = Field(
        (0,), min_length=1, description="seeds of backbone and adapter that points are tried on"
    )
    over_refusal_allowance: float = Field(
        0.02,
        ge=0,
        description="most over-refusal above the base's, mean over backbones and seeds, that a point may have (share)",
    )
    benign_allowance: float = Field(
        0.03,
        ge=0,
        description="most loss of right answers to benign requests, plain and wrapped, against the base's (share)",
    )

    @model_validator(mode="after")
    def check_budget(self) -> "TuningSettings":
        """Refuse grids of different sizes: the method with more tries would look better for it."""
        sizes = {method: len(points) for method, points in self.grids.items()}
        if len(set(sizes.values())) > 1 or 0 in sizes.values():
            raise ValueError(f"grids with equally many points for every method, at least one (found {sizes})")
        return self
