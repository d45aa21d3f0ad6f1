"""Settings of helpfulness on public benchmarks: which, how much of each, and how they are asked."""

from typing import Literal

from pydantic import Field, model_validator

from harc.settings.base import Settings
from harc.settings.endpoints import EndpointSettings
from harc.settings.sandbox import SandboxSettings

Benchmark = Literal["mmlu", "gsm8k", "humaneval", "ifeval", "mt_bench"]


class BenchmarkSettings(Settings):
    """How one benchmark is asked."""

    limit: int | None = Field(
        None,
        ge=1,
        description="Most items, the first ones of each task (mmlu: of each of its 57 subjects); none: all; the "
        "paper's GSM8K scores are multiples of 1/250.",
    )
    fewshot: int | None = Field(
        None, ge=0, description="Worked examples in the prompt, as turns; none: the task's own number."
    )
    max_new_tokens: int = Field(1024, ge=1, description="Longest response, tokens.")


class HelpfulnessSettings(Settings):
    """Helpfulness of published models (organisms have tasks of their own; see `evaluation`)."""

    benchmarks: tuple[Benchmark, ...] = Field(
        (), description="Benchmarks to run; none where the backbones are organisms."
    )
    mmlu: BenchmarkSettings = Field(
        BenchmarkSettings(fewshot=5, max_new_tokens=1),
        description="MMLU (arXiv 2009.03300): lm_eval's mmlu, 5 examples as published; log-likelihood of A to D.",
    )
    gsm8k: BenchmarkSettings = Field(
        BenchmarkSettings(max_new_tokens=512),
        description="GSM8K (arXiv 2110.14168): lm_eval's gsm8k_cot_llama, its 8 worked examples; last number of the "
        "response (flexible-extract), since a chat model's wording fails the strict pattern.",
    )
    humaneval: BenchmarkSettings = Field(
        BenchmarkSettings(),
        description="HumanEval (arXiv 2107.03374): lm_eval's humaneval_instruct, one greedy sample, run in `sandbox`.",
    )
    ifeval: BenchmarkSettings = Field(
        BenchmarkSettings(max_new_tokens=1280),
        description="IFEval (arXiv 2311.07911): lm_eval's ifeval, all instructions of a prompt followed strictly.",
    )
    mt_bench: BenchmarkSettings = Field(
        BenchmarkSettings(),
        description="MT-Bench (arXiv 2306.05685): two turns, temperature by category, graded 1 to 10 by `judge`; "
        "lm-sys/FastChat@0e6d3e4: 1024 tokens.",
    )
    judge: EndpointSettings | None = Field(None, description="Chat model that grades MT-Bench.")
    sandbox: SandboxSettings = Field(
        SandboxSettings(), description="Where HumanEval's programs run, and limits."
    )
    batch_size: int = Field(16, ge=1, description="Prompts decoded together; changes speed, not results.")

    @model_validator(mode="after")
    def check_benchmarks(self) -> "HelpfulnessSettings":
        """Refuse repeats, and MT-Bench without its judge."""
        if len(set(self.benchmarks)) != len(self.benchmarks):
            raise ValueError("benchmarks must be named once each")
        if "mt_bench" in self.benchmarks and self.judge is None:
            raise ValueError("helpfulness.judge must name the chat model that grades mt_bench")
        return self
