"""Settings of the judges that are models: a classifier from the hub, and what is shown to a rubric's judge."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from harc.settings.base import Settings


class ClassifierSettings(Settings):
    """Judge `harmbench_classifier`."""

    model_id: str = Field(
        "cais/HarmBench-Llama-2-13b-cls",
        description="Causal language model that says yes or no: id on the hub or a local folder (arXiv 2402.04249).",
    )
    revision: str = Field("main", description="Commit or branch of the model.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16", description="Precision of its weights; 13 billion parameters take 26 GB."
    )
    device: str = Field("cuda", description="Where it runs: cpu, cuda or auto.")
    batch_size: int = Field(8, ge=1, description="Answers judged together.")
    answer_tokens: int = Field(
        512, ge=1, description="Tokens of an answer that are shown; HarmBench clips at 512."
    )
    template: Path | None = Field(
        None,
        description="Text file with the question, with {behavior} and {generation} in it, as on the model card of "
        "the classifier; none: a question in words of our own.",
    )
