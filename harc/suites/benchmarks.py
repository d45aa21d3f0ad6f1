"""The public benchmarks of helpfulness, each declared once, as tasks of lm-evaluation-harness.

Its prompts and filters are read from the installed package, not written here again. GSM8K and HumanEval come from the
registered files, so they need no network; MMLU and IFEval come from the hub. MT-Bench: `harc.suites.mt_bench`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.files import read_jsonl, sha256_text
from harc.judges.sandbox import run_tests
from harc.settings.suites import HelpfulnessSettings, SandboxSettings
from harc.suites.lm_eval_model import make_lm, quiet_harness

HUMANEVAL_FIELDS = ("task_id", "prompt", "test", "entry_point")
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


def find_package() -> Path:
    """Folder of lm_eval's task definitions."""
    import lm_eval

    return Path(lm_eval.__file__).parent / "tasks"


def read_definition(file: str) -> dict[str, Any]:
    """A task definition of lm_eval as plain values: functions that it names are not imported.

    (The module behind humaneval runs model code outside any sandbox as soon as it is imported.)
    """
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: None)
    return yaml.load((find_package() / file).read_text(encoding="utf-8"), Loader)


def _hold_in_memory(definition: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    from datasets import Dataset

    dropped = [
        "dataset_path",
        "dataset_name",
        "tag",
        "include",
        "unsafe_code",
        "training_split",
        "fewshot_split",
    ]
    kept = {name: value for name, value in definition.items() if name not in dropped}
    return {**kept, "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)}}


def make_gsm8k(public_dir: Path) -> dict[str, Any]:
    """gsm8k_cot_llama on the registered test problems."""
    rows = read_jsonl(public_dir / BENCHMARKS["gsm8k"].file, ("question", "answer"))
    return _hold_in_memory(read_definition(BENCHMARKS["gsm8k"].definition), rows)


def make_humaneval(public_dir: Path, settings: HelpfulnessSettings) -> dict[str, Any]:
    """humaneval_instruct on the registered problems, its programs run in the sandbox."""
    rows = read_jsonl(public_dir / BENCHMARKS["humaneval"].file, HUMANEVAL_FIELDS)
    definition = read_definition("humaneval/humaneval.yaml") | read_definition(
        "humaneval/humaneval_instruct.yaml"
    )
    task = _hold_in_memory(definition, [{name: row[name] for name in HUMANEVAL_FIELDS} for row in rows])
    del task["filter_list"]
    return task | {
        "process_results": lambda doc, results: grade_program(doc, results[0], settings.sandbox),
        "metric_list": [{"metric": "pass_at_1", "aggregation": "mean", "higher_is_better": True}],
    }


def load_tasks(benchmark: str, settings: HelpfulnessSettings, public_dir: Path) -> dict[str, Any]:
    """What lm_eval's `evaluate` takes, with the settings' number of examples.

    Raises:
        DataError: for a missing or damaged local file.
    """
    from lm_eval.tasks import TaskManager

    if benchmark == "gsm8k":
        loaded = TaskManager(include_defaults=False).load([make_gsm8k(public_dir)])
    elif benchmark == "humaneval":
        loaded = TaskManager(include_defaults=False).load([make_humaneval(public_dir, settings)])
    else:
        folder = find_package() / BENCHMARKS[benchmark].definition
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        loaded = manager.load([benchmark])
    fewshot = getattr(settings, benchmark).fewshot
    if fewshot is not None:
        for task in loaded["tasks"].values():
            task.set_config(key="num_fewshot", value=fewshot)
    return loaded


def build_program(doc: Mapping[str, str], response: str) -> str:
    """The problem's opening, and what the model went on with up to the end of its code block."""
    written = response.split("```", 1)[0]
    return f"{doc['prompt']}{written}\n"


def complete_opening(doc: Mapping[str, str]) -> str:
    """The opening as a program of its own, for helpers that tests call: its last function does nothing."""
    return f"{doc['prompt'].rstrip()}\n    pass\n"


def grade_program(doc: Mapping[str, str], response: str, sandbox: SandboxSettings) -> dict[str, Any]:
    """pass_at_1 of one response: 1 if its function passes the problem's tests.

    Raises:
        EnvironmentProblem: if there is no sandbox and settings do not allow going without one.
    """
    program = build_program(doc, response)
    result = run_tests(program, doc["test"], doc["entry_point"], sandbox, opening=complete_opening(doc))
    return {"pass_at_1": float(result.status == "passed")}


def run_benchmark(
    benchmark: str, target: Any, settings: HelpfulnessSettings, public_dir: Path
) -> list[dict[str, Any]]:
    """Ask one benchmark of the target.

    Args:
        benchmark: mmlu, gsm8k, humaneval or ifeval.
        target: a harc.suites.target.Target.
        settings: limits, examples, sandbox.
        public_dir: folder of the registered files.

    Returns:
        Sample records: task, id, prompt and its hash, response, target, finish_reason, and every metric of the sample
        (of choices: the one taken as response, and all log-likelihoods).

    Raises:
        DataError: for a missing local file.
        ModelError: for a prompt that does not fit the context; nothing is cut.
        EnvironmentProblem: if programs would run without a sandbox.
    """
    own = getattr(settings, benchmark)
    with quiet_harness():
        from lm_eval.evaluator import evaluate

        lm = make_lm(target, own.max_new_tokens)
        results = evaluate(
            lm=lm,
            task_dict=load_tasks(benchmark, settings, public_dir),
            limit=own.limit,
            bootstrap_iters=0,  # standard errors are computed from the samples, in harc.evaluation.helpfulness
            apply_chat_template=True,
            fewshot_as_multiturn=True,
        )
    reported = BENCHMARKS[benchmark].metric.partition(",")[2]
    return [
        _make_record(benchmark, task, sample, lm.finish_reasons)
        for task, samples in sorted(results["samples"].items())
        for sample in samples
        if sample["filter"] == reported
    ]


def _make_record(
    benchmark: str, task: str, sample: Mapping[str, Any], finish_reasons: Mapping[str, str]
) -> dict[str, Any]:
    prompt = sample["arguments"][0][0]
    metrics = {name: sample[name] for name in sample["metrics"]}
    record = {
        "suite": benchmark, "task": task, "id": f"{task}/{sample['doc_id']}", "prompt": prompt,
        "prompt_sha256": sha256_text(prompt), "target": str(sample["target"]), "metrics": metrics,
        "filter": sample["filter"],
    }  # fmt: skip
    if len(sample["arguments"]) > 1:
        logprobs = [float(answer[0]) for answer in sample["filtered_resps"]]
        chosen = sample["arguments"][logprobs.index(max(logprobs))][1]
        return record | {"response": chosen, "finish_reason": "choice", "choice_logprobs": logprobs}
    return record | {"response": sample["resps"][0][0], "finish_reason": finish_reasons[prompt]}
