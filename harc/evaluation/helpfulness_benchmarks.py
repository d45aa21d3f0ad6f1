"""Running one benchmark through lm-evaluation-harness: sample records, and the scores that follow from them alone."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

from harc.core.files import sha256_text
from harc.settings.suites import HelpfulnessSettings
from harc.stats.statistics import wilson_interval
from harc.suites.helpfulness_tasks import MAIN_METRICS, load_tasks
from harc.suites.lm_eval_model import make_lm
from harc.suites.records import find_states
from harc.suites.tasks import quiet_harness

SCORE_COLUMNS = (
    "suite", "metric", "n", "successes", "rate", "stderr", "ci_low", "ci_high", "interval", "unjudged",
    "share_empty", "share_cut",
)  # fmt: skip


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
            bootstrap_iters=0,  # standard errors are computed from the samples, in score_benchmark
            apply_chat_template=True,
            fewshot_as_multiturn=True,
        )
    reported = MAIN_METRICS[benchmark][0].partition(",")[2]
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


def score_benchmark(benchmark: str, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of scores.csv: the main metric first, then every other one that the task gives.

    A metric of 0s and 1s has a Wilson interval; one that is a list per sample (IFEval's instructions) is a mean over
    prompts of the share in each, since instructions of one prompt are not independent; its interval is the normal one.
    """
    key, title = MAIN_METRICS[benchmark]
    main = key.partition(",")[0]
    names = [main, *(name for name in records[0]["metrics"] if name != main)]
    rows = []
    for name in names:
        values = [record["metrics"][name] for record in records]
        label = title if name == main else name
        rows.append({"suite": benchmark, "metric": label, **summarize(values)})
    return rows


def share_states(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Shares of empty and of cut answers among samples: a model that says nothing scores 0 for another reason.

    MT-Bench's samples hold an answer a turn.
    """
    found = []
    for record in records:
        answers = record.get("answers") or [record.get("response", "-")]
        reasons = record.get("finish_reasons") or [record.get("finish_reason", "stop")]
        found += [find_states(reason, str(answer)) for reason, answer in zip(reasons, answers, strict=True)]
    return {f"share_{state}": sum(state in one for one in found) / len(found) for state in ("empty", "cut")}


def summarize(values: Sequence[Any]) -> dict[str, Any]:
    """n, rate, standard error and 95% interval of per-sample values."""
    if all(isinstance(value, list) for value in values):
        values = [sum(value) / len(value) for value in values]
    numbers = [float(value) for value in values]
    n, rate = len(numbers), sum(numbers) / len(numbers)
    stderr = stdev(numbers) / math.sqrt(n) if n > 1 else math.nan
    if set(numbers) <= {0.0, 1.0}:
        _, low, high = wilson_interval(int(sum(numbers)), n)
        return {
            "n": n, "successes": int(sum(numbers)), "rate": rate, "stderr": stderr, "ci_low": low, "ci_high": high,
            "interval": "wilson",
        }  # fmt: skip
    return {
        "n": n, "rate": rate, "stderr": stderr, "ci_low": rate - 1.96 * stderr, "ci_high": rate + 1.96 * stderr,
        "interval": "normal",
    }  # fmt: skip
