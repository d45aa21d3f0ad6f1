"""Settings of figures, tables, comparisons and the report."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from harc.settings.base import Settings


class AnalysisSettings(Settings):
    """How results are summarised; none of these changes what a model does."""

    confidence: float = Field(
        0.95,
        gt=0.5,
        lt=1.0,
        description="Coverage of every interval shown (share). Source: this project's convention.",
    )
    draw: Literal["seed", "backbone"] = Field(
        "seed",
        description="What one draw is where a difference is pooled over backbones. `seed`: a training seed with all "
        "its backbones, which share its rows and their order; each backbone's own verdict decides. `backbone`: every "
        "backbone with its seed, where all have random streams of their own; the pooled verdict decides, architectures "
        "fixed. Source: this project's convention.",
    )
    plane_slot: int | None = Field(
        None,
        ge=0,
        description=(
            "Residual slot shown in the harmfulness-refusal plane (slot index); none takes the lowest slot "
            "that the layer score selected on the base model. Source: this project's convention."
        ),
    )
    ellipse_coverage: float = Field(
        0.5,
        gt=0.0,
        lt=1.0,
        description="Share of a normal class inside its ellipse (share). Source: this project's convention.",
    )
    plane_points: int = Field(
        60,
        ge=1,
        description="Most points drawn per class in a plane panel (count); statistics use all of them. "
        "Source: this project's convention, for legibility.",
    )
    trajectory_resamples: int = Field(
        1000,
        ge=100,
        description="Bootstrap resamples of answers behind the band of a trajectory (count). "
        "Source: this project's convention.",
    )
    scale_tables: tuple[Path, ...] = Field(
        (),
        description="Main tables of other profiles that have run (paths of committed table1.csv), whose models the "
        "scale table shows beside this profile's. Source: this project's convention.",
    )
    tuning_points: Path | None = Field(
        None,
        description="Points that the methods' settings were chosen from (path of a CSV; the chosen settings lie beside "
        "it); none: no tuning is shown. Source: `harc tuned`.",
    )
    report_examples: int = Field(
        4,
        ge=0,
        description="Example generations per backbone, method and suite in the report (count). "
        "Source: this project's convention.",
    )
    report_text_limit: int = Field(
        1200,
        ge=80,
        description="Longest piece of model output shown in the report (characters). "
        "Source: this project's convention.",
    )
