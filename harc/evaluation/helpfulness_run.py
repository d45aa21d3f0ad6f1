"""Every benchmark on one model, each kept as soon as it is done; scores follow from the kept records alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harc.core.files import read_json, read_jsonl, write_json, write_jsonl
from harc.core.finished import describe_work
from harc.evaluation.helpfulness_benchmarks import SCORE_COLUMNS, run_benchmark, score_benchmark, share_states
from harc.evaluation.score import write_csv
from harc.judges.sandbox.run import check_sandbox
from harc.settings.evaluation import EvaluationSettings
from harc.settings.suites import HelpfulnessSettings
from harc.suites.helpfulness_files import CATEGORIES, SCORES
from harc.suites.mt_bench_grades import CATEGORY_COLUMNS, score_mt_bench, tabulate_categories

KEY_FILE = "key.json"


class RecordStore:
    """Finished benchmarks of one run, in a folder that survives a kill."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Open the folder; records of another run are removed."""
        self.folder = folder
        marker = folder / KEY_FILE
        if not marker.is_file() or read_json(marker) != key:
            for path in folder.glob("*.jsonl"):
                path.unlink()
            write_json(marker, key)

    def load(self, name: str) -> list[dict[str, Any]] | None:
        """Records of a benchmark if it is finished."""
        path = self.folder / f"{name}.jsonl"
        return read_jsonl(path, ("id", "suite")) if path.is_file() else None

    def save(self, name: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Keep a finished benchmark."""
        write_jsonl(self.folder / f"{name}.jsonl", records)
        return records

    def clear(self) -> None:
        """Remove everything: the records are where they belong."""
        for path in [*self.folder.glob("*.jsonl"), self.folder / KEY_FILE]:
            path.unlink(missing_ok=True)


def describe_run(settings: HelpfulnessSettings, model: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Everything that records depend on."""
    asked = settings.model_dump(mode="json", exclude={"batch_size", "benchmarks"})
    return describe_work(
        ["harc.evaluation.helpfulness_run:measure_helpfulness"], settings=asked, model=dict(model), seed=seed
    )


def measure_helpfulness(
    target: Any, settings: HelpfulnessSettings, store: RecordStore, public_dir: Path, out: Path, *, seed: int
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
            asked = _run_mt_bench if name == "mt_bench" else _run_harness
            found = store.save(name, asked(name, target, settings, store, public_dir, seed))
        records[name] = found
    scores = []
    for name, found in records.items():
        rows = score_mt_bench(found) if name == "mt_bench" else score_benchmark(name, found)
        scores += [row | share_states(found) for row in rows]
        write_jsonl(out / f"{name}.jsonl", found)
    if "mt_bench" in records:
        write_csv(out / CATEGORIES, CATEGORY_COLUMNS, tabulate_categories(records["mt_bench"]))
    write_csv(out / SCORES, SCORE_COLUMNS, scores)
    if store.folder != out:
        store.clear()
    return scores


def _run_harness(
    name: str, target: Any, settings: HelpfulnessSettings, store: RecordStore, public_dir: Path, seed: int
) -> list[dict[str, Any]]:
    return run_benchmark(name, target, settings, public_dir)


def _run_mt_bench(
    name: str, target: Any, settings: HelpfulnessSettings, store: RecordStore, public_dir: Path, seed: int
) -> list[dict[str, Any]]:
    """Answers are kept before they are graded: a judge that fails costs no answer."""
    from harc.core.progress import track
    from harc.model.endpoints.create import create_endpoint
    from harc.suites.mt_bench import answer_questions, choose_questions, read_questions
    from harc.suites.mt_bench_grades import grade_answers

    judge = create_endpoint(settings.judge)
    own = settings.mt_bench
    answers = store.load(f"{name}_answers")
    if answers is None:
        questions = choose_questions(read_questions(public_dir), own.limit)
        answers = answer_questions(target, questions, max_new_tokens=own.max_new_tokens, seed=seed)
        store.save(f"{name}_answers", answers)
    with track(sum(len(row["answers"]) for row in answers), name) as bar:
        return grade_answers(answers, judge, bar.advance)


def make_settings(settings: HelpfulnessSettings) -> EvaluationSettings:
    """What the target's decoder takes: the batch size; lengths come with each benchmark."""
    return EvaluationSettings(batch_size=settings.batch_size)
