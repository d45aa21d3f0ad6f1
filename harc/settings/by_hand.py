"""Settings of a training run outside the workflow: one YAML file beside the model and the output folder."""

from typing import Literal

from pydantic import Field

from harc.settings.chat import TemplateSettings
from harc.settings.directions import DirectionSettings
from harc.settings.training import MethodSettings


class TrainingFile(TemplateSettings):
    """The content of the file given to `harc train --config`; paths are relative to that file."""

    training: str = Field(
        description="JSONL rows to train on: category (harmful, harmless, pseudo_harmful), prompt, response; for dpo, "
        "cb, repbend, cast and joint also rejected, the response that is not wanted"
    )
    extraction: str | None = Field(
        None, description="JSONL prompts to read directions from: category, prompt"
    )
    pairs: str | None = Field(
        None,
        description="JSONL pairs to read directions from: kind (harm, refuse, helpful), prompt, response",
    )
    validation: str | None = Field(
        None, description="JSONL prompts for held-out projections: category, prompt; none: some training rows"
    )
    method: MethodSettings = Field(
        MethodSettings(), description="the method: preset, and values that override it"
    )
    directions: DirectionSettings = Field(
        DirectionSettings(), description="how directions are read, before the method's own changes"
    )
    seed: int = Field(0, ge=0, description="seed of the adapter's start and of the order of rows")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="precision of the frozen weights"
    )
    device: str = Field("cpu", description="cpu, cuda, cuda:1, or auto to spread the model over all GPUs")
