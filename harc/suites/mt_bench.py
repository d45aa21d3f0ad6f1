"""MT-Bench's questions answered by the model under test: 80 questions of two turns, temperature by category.

Zheng et al., arXiv 2306.05685; lm-sys/FastChat@0e6d3e4 fastchat/llm_judge. Departure: sampled answers depend on the
prompt and the seed alone, so that a run repeats whatever is decoded beside them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.files import read_jsonl
from harc.model.generation import end_token_ids, generate_greedy
from harc.model.thoughts import separate_thoughts
from harc.model.token_sampling import Sampling

TEMPERATURES = {
    "writing": 0.7, "roleplay": 0.7, "extraction": 0.0, "math": 0.0, "coding": 0.0, "reasoning": 0.0, "stem": 0.1,
    "humanities": 0.1,
}  # fmt: skip
"""Category -> temperature of its answers (fastchat/llm_judge/common.py@0e6d3e4)."""
REFERENCE_CATEGORIES = ("math", "reasoning", "coding")
TURNS = 2


def read_questions(public_dir: Path) -> list[dict[str, Any]]:
    """Questions with their reference answers (two turns, or none).

    Raises:
        DataError: for a missing file, an unknown category, or a question of those categories without a reference.
    """
    path = public_dir / "mt_bench/question.jsonl"
    questions = read_jsonl(path, ("question_id", "category", "turns"))
    answers = read_jsonl(public_dir / "mt_bench/reference_answer_gpt-4.jsonl", ("question_id", "choices"))
    references = {row["question_id"]: row["choices"][0]["turns"] for row in answers}
    for number, row in enumerate(questions, start=1):
        needs = row["category"] in REFERENCE_CATEGORIES
        if (
            row["category"] not in TEMPERATURES
            or len(row["turns"]) != TURNS
            or (needs and row["question_id"] not in references)
        ):
            raise DataError(
                f"{path}:{number}",
                expected="a question of two turns, of a known category, with a reference where grading needs one",
                found=f"category {row['category']!r}, {len(row['turns'])} turns",
                fix="run `harc data fetch mt_bench`",
            )
    return [
        {
            "id": f"mt_bench/{row['question_id']}",
            "category": row["category"],
            "turns": row["turns"],
            "references": references[row["question_id"]] if row["category"] in REFERENCE_CATEGORIES else [],
        }
        for row in questions
    ]


def choose_questions(questions: Sequence[dict[str, Any]], limit: int | None) -> list[dict[str, Any]]:
    """At most so many, spread evenly over the categories."""
    if limit is None or limit >= len(questions):
        return list(questions)
    by_category: dict[str, list[dict[str, Any]]] = {}
    for question in questions:
        by_category.setdefault(question["category"], []).append(question)
    rounds = [
        group[place]
        for place in range(len(questions))
        for group in by_category.values()
        if place < len(group)
    ]
    kept = {question["id"] for question in rounds[:limit]}
    return [question for question in questions if question["id"] in kept]


def answer_questions(
    target: Any, questions: Sequence[Mapping[str, Any]], *, max_new_tokens: int, seed: int
) -> list[dict[str, Any]]:
    """The questions with the model's two answers.

    Args:
        target: a harc.suites.target.Target.
        questions: see read_questions.
        max_new_tokens: longest answer.
        seed: of sampled categories.

    Raises:
        ModelError: naming a question whose conversation does not fit the context; nothing is cut.
    """
    histories: dict[str, list[dict[str, str]]] = {question["id"]: [] for question in questions}
    reasons: dict[str, list[str]] = {question["id"]: [] for question in questions}
    for turn in range(TURNS):
        for temperature in sorted(set(TEMPERATURES.values())):
            due = [q for q in questions if TEMPERATURES[q["category"]] == temperature]
            for question in due:
                histories[question["id"]].append({"role": "user", "content": question["turns"][turn]})
            replies = _decode(
                target, [(q["id"], histories[q["id"]]) for q in due], temperature, max_new_tokens, seed
            )
            for question, reply in zip(due, replies, strict=True):
                histories[question["id"]].append({"role": "assistant", "content": reply.text})
                reasons[question["id"]].append(reply.finish_reason)
    return [
        {
            **question,
            "suite": "mt_bench",
            "temperature": TEMPERATURES[question["category"]],
            "answers": [m["content"] for m in histories[question["id"]] if m["role"] == "assistant"],
            "finish_reasons": reasons[question["id"]],
        }
        for question in questions
    ]


def _decode(
    target: Any,
    histories: Sequence[tuple[str, list[dict[str, str]]]],
    temperature: float,
    limit: int,
    seed: int,
) -> list[Any]:
    if not histories:
        return []
    backbone = target.backbone
    prompts = backbone.chat.encode_prompts([history for _, history in histories])
    completions = generate_greedy(
        backbone.model,
        backbone.tokenizer,
        prompts,
        max_new_tokens=limit,
        batch_size=target.settings.batch_size,
        ends=end_token_ids(backbone.model, backbone.tokenizer, backbone.chat),
        names=[name for name, _ in histories],
        sampling=Sampling(temperature, seed=seed) if temperature else None,
    )
    return separate_thoughts(completions, prompts, backbone.tokenizer)
