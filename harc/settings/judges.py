"""Settings of judges: a classifier from the hub, the sandbox for generated code, and both as a file by hand."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from harc.settings.base import Settings
from harc.settings.endpoints import EndpointSettings


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


class SandboxSettings(Settings):
    """Limits of one run of generated code, and whether it may ever run without the sandbox."""

    seconds: float = Field(
        10.0,
        gt=0,
        le=86_400,
        description="Longest run, seconds, before everything in it is killed; code_eval: 3.",
    )
    memory_mb: int = Field(
        1024, ge=64, description="Address space of each process, MB; own choice: Python itself maps about 30."
    )
    processes: int = Field(
        8, ge=1, description="Processes and threads at a time; own choice: no task needs more than one."
    )
    file_mb: int = Field(8, ge=1, description="Largest file that may be written, MB; own choice.")
    scratch_mb: int = Field(32, ge=1, description="Size of the private /tmp, MB; own choice.")
    allow_unsandboxed: bool = Field(
        False,
        description="Run generated code with limits only, where bubblewrap is missing: it can then read and write what "
        "this account can, and use the network. For machines that are thrown away.",
    )


class JudgeFile(Settings):
    """Judges that are models, outside the workflow: the YAML file given to `harc evaluate --judge-config`."""

    endpoint: EndpointSettings | None = Field(
        None, description="Chat model behind the judges that are chat models, and behind suite mt_bench."
    )
    sandbox: SandboxSettings = Field(SandboxSettings(), description="Limits on suite humaneval's programs.")
    classifier: ClassifierSettings | None = Field(
        None, description="Model behind judge harmbench_classifier; none: HarmBench's own."
    )
