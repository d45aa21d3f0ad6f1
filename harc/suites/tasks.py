"""Helpfulness tasks with right answers, through lm-evaluation-harness: its custom tasks, its sample logs as records.

lm_eval 0.4.13. Tasks with one right answer are `generate_until` with exact match; multiple choice takes the option of
the highest log-likelihood. Prompts go through the backbone's own chat template. The harness's tasks hold one user turn,
so two-turn chats are asked like any other suite.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harc.core.errors import ModelError
from harc.judges.base import Judge
from harc.model.completion import Completion
from harc.suites.base import Suite

SUITES = (
    Suite("multiple_choice", "helpfulness", 1, "multiple choice", column="choice", needs="likelihoods"),
    Suite("arithmetic", "helpfulness", 2, "arithmetic", column="arith.", needs="likelihoods"),
    Suite("code", "helpfulness", 3, "code", needs="likelihoods"),
    Suite("instruction_constraints", "helpfulness", 4, "constraints", column="constr.", needs="likelihoods"),
    Suite("two_turn", "helpfulness", 5, "two turns", column="2 turns"),
)
TASK_PREFIX = "harc_"
TASK_VERSION = 1


def make_task_config(suite: str, rows: Sequence[dict]) -> dict[str, Any]:
    """A task of lm_eval for one suite, its rows held in memory.

    Rows with `choices` and `answer_index` become multiple choice, others free generation with exact match.
    """
    from datasets import Dataset

    docs = [
        {
            "id": row["id"],
            "prompt": row["messages"][-1]["content"],
            "expected": join_words(row["expected"]),
            "choices": row.get("choices", []),
            "answer_index": row.get("answer_index", -1),
        }
        for row in rows
    ]
    config = {
        "task": TASK_PREFIX + suite,
        "custom_dataset": lambda **_: {"test": Dataset.from_list(docs)},
        "test_split": "test",
        "doc_to_text": "{{prompt}}",
        "target_delimiter": "",
        "num_fewshot": 0,
        "metadata": {"version": TASK_VERSION},
    }
    if all("choices" in row for row in rows):
        return config | {
            "output_type": "multiple_choice",
            "doc_to_choice": "choices",
            "doc_to_target": "answer_index",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
    return config | {
        "output_type": "generate_until",
        "doc_to_target": "{{expected}}",
        "generation_kwargs": {"until": ["\n\n"], "do_sample": False},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "filter_list": [{"name": "strip", "filter": [{"function": "remove_whitespace"}]}],
    }


def join_words(text: str) -> str:
    """A text with single spaces: what both the harness and the exact judge compare."""
    return " ".join(text.split())


def make_harness_model(target: Any) -> Any:
    """The target as a model of lm_eval; free generation goes through our own decoder.

    The attribute `completions` maps each rendered prompt to its completion.
    """
    from harc.suites.lm_eval_model import make_lm_class

    base: Any = make_lm_class()

    class GreedyHarnessModel(base):
        def __init__(self) -> None:
            super().__init__(target)
            self.completions: dict[str, Completion] = {}

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            prompts = [request.args[0] for request in requests]
            chat = target.backbone.chat
            answers = target.decode(
                [chat.tokenize(prompt) for prompt in prompts],
                names=[request.doc["id"] for request in requests],
            )
            self.completions.update(zip(prompts, answers, strict=True))
            return [join_words(answer.text) for answer in answers]

    return GreedyHarnessModel()


def run_harness_suites(
    target: Any, rows_by_suite: Mapping[str, Sequence[dict]], judges: Sequence[Judge]
) -> dict[str, list[dict]]:
    """Run suites as lm_eval tasks.

    Args:
        target: the model under test, a harc.suites.target.Target.
        rows_by_suite: single-turn rows of each suite.
        judges: judge the logged samples, like every other response.

    Returns:
        Generation records by suite, in row order; multiple-choice records also carry `choice_logprobs`.

    Raises:
        ModelError: if the harness scores a sample differently from comparing words, which would mean that the
            prompt or the answer was changed on its way.
    """
    from harc.suites.lm_eval_model import quiet_harness

    with quiet_harness():
        from lm_eval.evaluator import evaluate
        from lm_eval.tasks import TaskManager

        model = make_harness_model(target)
        manager = TaskManager(include_defaults=False)
        configs = [make_task_config(suite, rows) for suite, rows in rows_by_suite.items()]
        results = evaluate(
            lm=model, task_dict=manager.load(configs), bootstrap_iters=0, apply_chat_template=True
        )
    return {
        suite: _make_suite_records(target, rows, results["samples"][TASK_PREFIX + suite], judges, model)
        for suite, rows in rows_by_suite.items()
    }


def _make_suite_records(
    target: Any, rows: Sequence[dict], samples: Sequence[dict], judges: Sequence[Judge], model: Any
) -> list[dict]:
    by_id = {sample["doc"]["id"]: sample for sample in samples}
    samples = [by_id[row["id"]] for row in rows]
    completions = [_read_completion(target, sample, model) for sample in samples]
    records = target.make_records(rows, [row["messages"] for row in rows], completions, judges)
    for record, sample in zip(records, samples, strict=True):
        if sample["doc"]["choices"]:
            record["choice_logprobs"] = [float(result[0]) for result in sample["filtered_resps"]]
        _check_agreement(record, sample)
    return records


def _read_completion(target: Any, sample: dict, model: Any) -> Completion:
    prompt = sample["arguments"][0][0]
    if not sample["doc"]["choices"]:
        return model.completions[prompt]
    logprobs = [result[0] for result in sample["filtered_resps"]]
    choice = sample["doc"]["choices"][logprobs.index(max(logprobs))]
    chat = target.backbone.chat
    return Completion(choice, "stop", len(chat.tokenize(prompt)), len(chat.tokenize(choice)))


def _check_agreement(record: dict, sample: dict) -> None:
    right = join_words(record["response"]) == join_words(record["expected"])
    scored = sample.get("acc", sample.get("exact_match"))
    if right != bool(scored):
        raise ModelError(
            f"lm_eval on {record['id']}",
            expected=f"the score {int(right)}, since {record['expected']!r} is the answer",
            found=f"{scored} for {record['response']!r}",
            fix="check the task's filters, and answer_index against expected",
        )
