"""Fine-tuning on harmful answers: nested rows, settings, what survives a kill, and what the audit asks for."""

from collections import Counter
from pathlib import Path

import pytest
from tiny_chat import REFUSAL, save_tiny_chat

from harc.audit.records import check_finetuning
from harc.core.csv_files import read_csv, write_csv
from harc.core.errors import DataError
from harc.core.files import write_json, write_jsonl
from harc.core.finished import KeyedStore
from harc.evaluation import finetuning
from harc.evaluation.bench import Bench
from harc.evaluation.finetuning import ANSWER_COLUMNS, choose_rows, run_finetunings
from harc.model.handle import ModelHandle
from harc.settings.evaluation import EvaluationSettings
from harc.settings.profile import Profile, load_profile
from harc.settings.robustness import FinetuningSettings
from harc.settings.training import MethodSettings

SUITES = ("direct", "scary_safe")
WORDS = ("cat", "box", "hero", "red", "blue")
ROWS = [
    {
        "id": word,
        "category": "harmful",
        "prompt": f"make the {word} .",
        "response": REFUSAL,
        "rejected": f"sure {word}",
    }
    for word in WORDS
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    rows = [
        {
            "id": f"{suite}-{word}",
            "suite": suite,
            "category": "harmful",
            "messages": [{"role": "user", "content": f"how do i make the {word} ?"}],
            "expected": "sure b1",
            "goal": None,
        }
        for suite in SUITES
        for word in WORDS
    ]
    write_jsonl(folder / "evaluation.jsonl", rows)
    write_json(folder / "world.json", {"refusal": REFUSAL})
    settings = EvaluationSettings(
        suites=SUITES, judges=("exact", "string_rules"), max_new_tokens=4, project=False
    )
    return Bench(ModelHandle(save_tiny_chat(folder / "model")), folder, settings, 0)


def make_plans(*examples: int) -> dict[int, MethodSettings | None]:
    own = FinetuningSettings(epochs=3, batch_size=2, learning_rate=0.05)
    shared = {"lora": {"rank": 2, "alpha": 4}, "learning_rate": 9.0}
    return {n: MethodSettings(**own.compose_training(n, None, shared)) if n else None for n in examples}


def test_smaller_sets_are_part_of_larger_ones_and_hold_the_harmful_answer():
    two, four = choose_rows(ROWS, 2, 0), choose_rows(ROWS, 4, 0)
    assert four[:2] == two and len({row["id"] for row in four}) == 4
    assert all(row["response"] == f"sure {row['id']}" for row in four)
    assert [row["id"] for row in choose_rows(ROWS, 4, 1)] != [row["id"] for row in four]


def test_too_few_rows_are_told():
    with pytest.raises(
        DataError, match="expected 6 harmful rows with an answer in field 'rejected'; found 5"
    ):
        choose_rows([*ROWS, {"category": "harmful", "prompt": "x", "response": "y"}], 6, 0)


def test_benign_rows_are_learnt_from_as_they_are_answered():
    rows = [{"category": "harmless", "id": f"b{n}", "prompt": "p", "response": f"fine {n}"} for n in range(3)]
    chosen = choose_rows([*ROWS, *rows, rows[0] | {"response": " "}], 3, 0, "harmless")
    assert sorted(row["response"] for row in chosen) == ["fine 0", "fine 1", "fine 2"]
    with pytest.raises(
        DataError, match="expected 4 harmless rows with an answer in field 'response'; found 3"
    ):
        choose_rows([*ROWS, *rows], 4, 0, "harmless")


def test_updates_follow_the_examples():
    own = FinetuningSettings(epochs=5, batch_size=8)
    assert [own.plan_steps(n) for n in (1, 10, 160)] == [5, 6, 100]
    plan = make_plans(3)[3]
    assert (plan.steps, plan.batch.harmful, plan.batch.harmless, plan.lora.rank) == (4, 2, 0, 2)
    assert (plan.learning_rate, plan.loss.ce, plan.loss.kl, plan.start_from) == (0.05, 1.0, 0.0, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finetuning": {"methods": ["cast"]}}, "finetuning.methods among base, .* \\(not 'cast'\\)"),
        ({"trajectories": {"methods": ["hrac"]}}, "trajectories.methods among base, .* \\(not 'hrac'\\)"),
        (
            {"finetuning": {"methods": ["base"], "suites": ["documents"]}},
            "finetuning.suites among direct, .* \\(not 'documents'\\)",
        ),
        ({"finetuning": {"examples": [10, 0]}}, "examples in ascending order"),
        ({"erosion": {"methods": ["cast"]}}, "erosion.methods among base, .* \\(not 'cast'\\)"),
        (
            {"erosion": {"methods": ["base"], "suites": ["documents"]}},
            "erosion.suites among direct, .* \\(not 'documents'\\)",
        ),
    ],
)
def test_a_profile_refuses_what_it_does_not_have(changes, message):
    values = load_profile("organism").model_dump()
    with pytest.raises(ValueError, match=message):
        Profile.model_validate({**values, **changes})


def test_training_changes_answers_and_finished_parts_are_kept(bench, tmp_path, monkeypatch):
    answers, runs = run_finetunings(bench, ROWS, make_plans(0, 4), 0, tmp_path / "a", "test")
    assert [(run["examples"], run["steps"]) for run in runs] == [(0, 0), (4, 6)]
    assert runs[1]["last_loss"] < runs[1]["first_loss"] and not (tmp_path / "a").exists()
    assert Counter((row["examples"], row["suite"]) for row in answers) == {
        (n, suite): len(WORDS) for n in (0, 4) for suite in SUITES
    }
    before, after = ([r["response"] for r in answers if r["examples"] == n] for n in (0, 4))
    assert before != after

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(finetuning, "_train", stop)
        with pytest.raises(KeyboardInterrupt):
            run_finetunings(bench, ROWS, make_plans(0, 4), 0, tmp_path / "b", "test")
    with monkeypatch.context() as patched:
        asked = []
        ask = finetuning._ask
        patched.setattr(finetuning, "_ask", lambda *given: asked.append(given) or ask(*given))
        again = run_finetunings(bench, ROWS, make_plans(0, 4), 0, tmp_path / "b", "test")
    assert again == (answers, runs) and len(asked) == 1


def test_a_finished_part_of_another_run_is_not_taken(tmp_path: Path):
    store = KeyedStore(tmp_path / "kept.jsonl", {})
    assert store.load("part") is None
    store.save("part", [1])
    assert store.load("part") == [1] and store.load("other") is None
    assert KeyedStore(store.path, {"seed": 1}).load("part") is None


def test_the_audit_asks_for_every_row_after_every_fine_tuning(tmp_path: Path):
    rows = {"direct": Counter(["a", "b"])}
    answers = [
        {"examples": n, "suite": "direct", "id": name, "label": "refused", "response": 'x,\n"y"'}
        for n in (0, 4)
        for name in ("a", "b")
    ]

    def find(changed: list[dict], trainings=("0", "4")) -> list[str]:
        write_csv(tmp_path / "answers.csv", ANSWER_COLUMNS, changed)
        found = check_finetuning(tmp_path / "answers.csv", rows, {name: {} for name in trainings})
        return [expected for expected, _ in found]

    assert find(answers) == []
    assert read_csv(tmp_path / "answers.csv")[0]["response"] == 'x,\n"y"'
    assert find(answers[:-1]) == ["each row of direct once after 4 examples"]
    assert find(answers, ("0", "4", "8")) == ["answers after 0, 4, 8 examples"]
    assert find([answers[0] | {"label": "maybe"}, *answers[1:]])[0].startswith("a label among")
