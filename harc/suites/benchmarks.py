"""The public benchmarks of helpfulness, each declared once, and the files that a run of them leaves."""

from dataclasses import dataclass

from harc.settings.suites import HelpfulnessSettings

SCORES, CATEGORIES = "scores.csv", "mt_bench.csv"


@dataclass(frozen=True)
class Benchmark:
    """One public benchmark.

    Attributes:
        about: what it is, in a line of help.
        metric: lm_eval's name of the metric that is reported, with its filter; empty where lm_eval does not run it.
        title: what that metric is.
        dataset: of the registry, which holds all of it: it needs no network once fetched.
        file: of that dataset, with the items.
        hub: dataset on the hub, where it is not among the registered ones.
        packages: what lm_eval's task needs besides; see pyproject.toml, extra `ifeval`.
        definition: file or folder of lm_eval's task definitions.
    """

    about: str
    metric: str = ""
    title: str = ""
    dataset: str = ""
    file: str = ""
    hub: str = ""
    packages: tuple[str, ...] = ()
    definition: str = ""


BENCHMARKS = {
    "mmlu": Benchmark(
        "MMLU, log-likelihood of four options, 5 examples",
        "acc,none",
        "accuracy",
        hub="cais/mmlu",
        definition="mmlu/default",
    ),
    "gsm8k": Benchmark(
        "GSM8K, 8 worked examples as turns",
        "exact_match,flexible-extract",
        "exact match, last number",
        dataset="gsm8k",
        file="gsm8k/test.jsonl",
        definition="gsm8k/gsm8k-cot-llama.yaml",
    ),
    "humaneval": Benchmark(
        "HumanEval, programs run in the sandbox only",
        "pass_at_1,none",
        "pass@1",
        dataset="humaneval",
        file="humaneval/HumanEval.jsonl.gz",
    ),
    "ifeval": Benchmark(
        "IFEval, instructions that can be checked",
        "prompt_level_strict_acc,none",
        "prompts followed to the letter",
        hub="google/IFEval",
        packages=("immutabledict", "langdetect", "nltk"),
        definition="ifeval",
    ),
    "mt_bench": Benchmark(
        "MT-Bench, two turns, graded by the endpoint of --judge-config", dataset="mt_bench"
    ),
}


def list_datasets(settings: HelpfulnessSettings) -> list[str]:
    """Datasets of the registry that the settings' benchmarks read."""
    return [dataset for name in settings.benchmarks if (dataset := BENCHMARKS[name].dataset)]


def list_output_names(settings: HelpfulnessSettings | None) -> list[str]:
    """Files that a run leaves in its folder; none where nothing is asked."""
    if settings is None:
        return []
    tables = [SCORES, *([CATEGORIES] if "mt_bench" in settings.benchmarks else [])]
    return [*tables, *(f"{name}.jsonl" for name in settings.benchmarks)]
