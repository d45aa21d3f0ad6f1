"""Every benchmark on one model, each kept as soon as it is done; scores follow from the kept records alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.csv_files import write_csv
from harc.core.files import write_jsonl
from harc.core.finished import KeyedStore, describe_work
from harc.judges.sandbox import check_sandbox
from harc.settings.evaluation import EvaluationSettings
from harc.settings.suites import HelpfulnessSettings
from harc.stats.intervals import wilson_interval
from harc.stats.rates import estimate_score
from harc.suites.benchmarks import BENCHMARKS, CATEGORIES, SCORES, run_benchmark
from harc.suites.mt_bench import CATEGORY_COLUMNS, score_mt_bench, tabulate_categories
from harc.suites.records import find_states

SCORE_COLUMNS = (
    "suite", "metric", "n", "successes", "rate", "stderr", "ci_low", "ci_high", "interval", "unjudged",
    "share_empty", "share_cut",
)  # fmt: skip


def describe_run(settings: HelpfulnessSettings, model: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Everything that records depend on."""
    asked = settings.model_dump(mode="json", exclude={"batch_size", "benchmarks"})
    return describe_work(
        ["harc.evaluation.helpfulness:measure_helpfulness"], settings=asked, model=dict(model), seed=seed
    )


def measure_helpfulness(
    target: Any, settings: HelpfulnessSettings, store: KeyedStore, public_dir: Path, out: Path, *, seed: int
) -> list[dict[str, Any]]:
    """Run every benchmark that is not finished, and write records and scores.

    Args:
        target: a harc.suites.target.Target.
        settings: which benchmarks and how.
        store: finished benchmarks.
        public_dir: folder of the registered files.
        out: folder of SCORES, one JSONL file per benchmark, and CATEGORIES for mt_bench.
        seed: of MT-Bench's sampled answers.

    Returns:
        Rows of SCORES.

    Raises:
        EnvironmentProblem: without a sandbox for HumanEval, or a judge for MT-Bench, before anything is asked.
        DataError, ModelError: for a missing file, or a prompt that does not fit the context.
    """
    if "humaneval" in settings.benchmarks:
        check_sandbox(settings.sandbox)
    records = {}
    for name in settings.benchmarks:
        found = store.load(name)
        if found is None:
            if name == "mt_bench":
                found = _run_mt_bench(target, settings, store, public_dir, seed)
            else:
                found = run_benchmark(name, target, settings, public_dir)
            store.save(name, found)
        records[name] = found
    scores = []
    for name, found in records.items():
        rows = score_mt_bench(found) if name == "mt_bench" else score_benchmark(name, found)
        scores += [row | share_states(found) for row in rows]
        write_jsonl(out / f"{name}.jsonl", found)
    if "mt_bench" in records:
        write_csv(out / CATEGORIES, CATEGORY_COLUMNS, tabulate_categories(records["mt_bench"]))
    write_csv(out / SCORES, SCORE_COLUMNS, scores)
    if store.path.parent != out:
        store.remove()
    return scores


def _run_mt_bench(
    target: Any, settings: HelpfulnessSettings, store: KeyedStore, public_dir: Path, seed: int
) -> list[dict[str, Any]]:
    """Answers are kept before they are graded: a judge that fails costs no answer."""
    from harc.core.terminal import track
    from harc.model.endpoints.base import create_endpoint
    from harc.suites.mt_bench import answer_questions, choose_questions, grade_answers, read_questions

    assert settings.judge is not None  # the settings refuse MT-Bench without one
    judge = create_endpoint(settings.judge)
    own = settings.mt_bench
    answers = store.load("mt_bench_answers")
    if answers is None:
        questions = choose_questions(read_questions(public_dir), own.limit)
        answers = answer_questions(target, questions, max_new_tokens=own.max_new_tokens, seed=seed)
        store.save("mt_bench_answers", answers)
    with track(sum(len(row["answers"]) for row in answers), "mt_bench") as bar:
        return grade_answers(answers, judge, bar.advance)


def make_settings(settings: HelpfulnessSettings) -> EvaluationSettings:
    """What the target's decoder takes: the batch size; lengths come with each benchmark."""
    return EvaluationSettings(batch_size=settings.batch_size)


def score_benchmark(benchmark: str, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of scores.csv: the main metric first, then every other one that the task gives.

    A metric of 0s and 1s has a Wilson interval; one that is a list per sample (IFEval's instructions) is a mean over
    prompts of the share in each, since instructions of one prompt are not independent; its interval is the normal one.
    """
    main, title = BENCHMARKS[benchmark].metric.partition(",")[0], BENCHMARKS[benchmark].title
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
    found = estimate_score([[number] for number in numbers])
    row = {"n": len(numbers), "rate": found.estimate, "stderr": found.standard_error}
    if set(numbers) <= {0.0, 1.0}:
        row["successes"] = int(sum(numbers))
        interval, kind = wilson_interval(row["successes"], len(numbers)), "wilson"
    else:
        interval, kind = found.interval(), "normal"
    return row | {"ci_low": interval.low, "ci_high": interval.high, "interval": kind}
