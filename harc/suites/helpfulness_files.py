"""What the benchmarks read and write: datasets, and the files of a run; the workflow asks here, too."""

from harc.settings.suites import HelpfulnessSettings

LOCAL_DATASETS = {"gsm8k": "gsm8k", "humaneval": "humaneval", "mt_bench": "mt_bench"}
"""Benchmark -> dataset of the registry that holds all of it: these need no network once fetched."""
LOCAL_FILES = {"gsm8k": "gsm8k/test.jsonl", "humaneval": "humaneval/HumanEval.jsonl.gz"}
HUB_DATASETS = {"mmlu": "cais/mmlu", "ifeval": "google/IFEval"}
"""Benchmark -> dataset on the hub."""
PACKAGES = {"ifeval": ("immutabledict", "langdetect", "nltk")}
"""Benchmark -> packages that lm_eval's task needs besides; see pyproject.toml, extra `ifeval`."""
SCORES, CATEGORIES = "scores.csv", "mt_bench.csv"


def list_output_names(settings: HelpfulnessSettings | None) -> list[str]:
    """Files that a run leaves in its folder; none where nothing is asked."""
    if settings is None:
        return []
    tables = [SCORES, *([CATEGORIES] if "mt_bench" in settings.benchmarks else [])]
    return [*tables, *(f"{name}.jsonl" for name in settings.benchmarks)]
