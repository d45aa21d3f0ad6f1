"""Public benchmarks through lm-evaluation-harness, MT-Bench, and what a machine must have for them."""

import gzip
import json
import math
from pathlib import Path

import pytest
import torch
from tiny_models import build_model, load_tokenizer

from harc.core.errors import ConfigError, DataError, EnvironmentProblem, ModelError
from harc.core.files import read_jsonl, write_jsonl
from harc.core.finished import KEPT, KeyedStore
from harc.evaluation import helpfulness as run
from harc.evaluation.helpfulness import measure_helpfulness, score_benchmark, summarize
from harc.judges.sandbox import RunResult, find_obstacle
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat
from harc.model.endpoints.base import Reply, Usage
from harc.settings.evaluation import EvaluationSettings
from harc.settings.profile import load_profile
from harc.settings.suites import BenchmarkSettings, HelpfulnessSettings
from harc.steps.preflight_services import find_helpfulness_lacks
from harc.suites import benchmarks as tasks
from harc.suites import lm_eval_model as model
from harc.suites import mt_bench
from harc.suites.benchmarks import build_program, grade_program, load_tasks, run_benchmark
from harc.suites.target import Target

SETTINGS = HelpfulnessSettings(
    benchmarks=("gsm8k", "humaneval"),
    gsm8k=BenchmarkSettings(fewshot=1, max_new_tokens=8),
    humaneval=BenchmarkSettings(max_new_tokens=8),
    batch_size=2,
)
PROGRAM = {
    "task_id": "invented/0", "prompt": "def double(x):\n", "entry_point": "double",
    "test": "def check(f):\n    assert f(2) == 4\n",
}  # fmt: skip


def make_target(**changes) -> Target:
    tokenizer = load_tokenizer()
    built = build_model("Llama", max_position_embeddings=2048, **changes)
    return Target(Backbone(built, tokenizer, ChatFormat(tokenizer)), EvaluationSettings(batch_size=2))


@pytest.fixture(scope="module")
def target() -> Target:
    return make_target()


@pytest.fixture
def public(tmp_path) -> Path:
    """Invented problems in the form of the public files."""
    problems = [
        {"question": f"What is {n} plus {n}?", "answer": f"It is doubled.\n#### {2 * n}"} for n in (1, 2, 3)
    ]
    write_jsonl(tmp_path / "public/gsm8k/test.jsonl", problems)
    folder = tmp_path / "public/humaneval"
    folder.mkdir()
    rows = [{**PROGRAM, "task_id": f"invented/{n}", "canonical_solution": ""} for n in range(2)]
    (folder / "HumanEval.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    categories = [*mt_bench.TEMPERATURES, "math"]
    write_jsonl(
        tmp_path / "public/mt_bench/question.jsonl",
        [
            {"question_id": n, "category": c, "turns": [f"Say {c}.", "Again."]}
            for n, c in enumerate(categories)
        ],
    )
    write_jsonl(
        tmp_path / "public/mt_bench/reference_answer_gpt-4.jsonl",
        [{"question_id": n, "choices": [{"turns": ["ref 1", "ref 2"]}]} for n in range(len(categories))],
    )
    return tmp_path / "public"


def test_gsm8k_runs_on_the_local_file_with_its_examples_as_turns(target, public):
    records = run_benchmark("gsm8k", target, SETTINGS, public)
    assert [record["id"] for record in records] == [f"gsm8k_cot_llama/{n}" for n in range(3)]
    prompt = records[1]["prompt"]
    assert prompt.count("<|start_header_id|>user") == 2 and "What is 2 plus 2?" in prompt
    assert prompt.count("<|begin_of_text|>") == 1 and prompt.endswith(
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    ids = target.backbone.chat.tokenize(prompt)
    assert records[1]["response"] == target.decode([ids], max_new_tokens=8)[0].text
    scores = score_benchmark("gsm8k", records)
    assert scores[0]["metric"] == "exact match, last number" and (scores[0]["n"], scores[0]["rate"]) == (
        3,
        0.0,
    )


def test_a_right_answer_counts(target, public, monkeypatch):
    class Answer:
        text, finish_reason = "Well, 1+1 is 2 and so the final answer is $2.<|im_end|> 77", "stop"

    with monkeypatch.context() as patch:
        patch.setattr(Target, "decode", lambda self, prompts, **_: [Answer() for _ in prompts])
        records = run_benchmark("gsm8k", target, SETTINGS, public)
    assert [record["metrics"]["exact_match"] for record in records] == [1.0, 0.0, 0.0]
    assert records[0]["response"].endswith("$2."), "cut at the task's stop string"


def test_humaneval_goes_on_from_the_opened_code_and_runs_in_the_sandbox(target, public, monkeypatch):
    seen = []

    def run_tests(code, *_, **__):
        seen.append(code)
        return RunResult("passed" if len(seen) == 1 else "timeout")

    monkeypatch.setattr("harc.suites.benchmarks.run_tests", run_tests)
    records = run_benchmark("humaneval", target, SETTINGS, public)
    prompt = records[0]["prompt"]
    assert (
        prompt.rstrip("\n").endswith(PROGRAM["prompt"].rstrip("\n"))
        and prompt.count("<|start_header_id|>assistant") == 1
    )
    assert [record["metrics"]["pass_at_1"] for record in records] == [1.0, 0.0]
    assert seen[0] == build_program(PROGRAM, records[0]["response"])
    assert score_benchmark("humaneval", records)[0] | {"stderr": 0} == {
        "suite": "humaneval", "metric": "pass@1", "n": 2, "successes": 1, "rate": 0.5, "stderr": 0,
        "ci_low": pytest.approx(0.0945, abs=1e-3), "ci_high": pytest.approx(0.9055, abs=1e-3), "interval": "wilson",
    }  # fmt: skip


@pytest.mark.skipif(find_obstacle() is not None, reason=f"no sandbox here: {find_obstacle()}")
@pytest.mark.parametrize(
    ("response", "passed"),
    [
        ("    return 2 * x\n```\nand that is why", 1.0),
        ("    return x\n", 0.0),
        ("    return 2 * x\nimport os; os._exit(0)\n", 0.0),
        ("    import socket; socket.create_connection(('192.0.2.1', 80), timeout=3)\n", 0.0),
    ],
)
def test_programs_are_graded_by_their_tests(response, passed):
    assert grade_program(PROGRAM, response, SETTINGS.sandbox) == {"pass_at_1": passed}


def test_lm_evals_own_grader_is_never_imported(target, public):
    import sys

    tasks.load_tasks("humaneval", SETTINGS, public)
    assert not [
        name for name in sys.modules if name.endswith("humaneval.utils") or name == "evaluate_modules"
    ]


def test_adapter_and_steering_answer_without_being_merged(public):
    from peft import LoraConfig, get_peft_model

    from harc.model.steering import Condition, Steering, SteeringHooks

    plain = make_target()
    expected = [record["response"] for record in run_benchmark("gsm8k", plain, SETTINGS, public)]
    hooks = SteeringHooks(
        plain.backbone,
        Steering(torch.ones(32), {2: 9 * torch.ones(32)}, Condition(0, -2.0, "above", 1, 1, 1)),
    )
    steered = [record["response"] for record in run_benchmark("gsm8k", plain, SETTINGS, public)]
    hooks.remove()
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    adapted = Backbone(
        get_peft_model(plain.backbone.model, config).eval(), plain.backbone.tokenizer, plain.backbone.chat
    )
    with_adapter = run_benchmark("gsm8k", Target(adapted, plain.settings), SETTINGS, public)
    assert steered != expected != [record["response"] for record in with_adapter]


def test_a_prompt_that_does_not_fit_is_named(public):
    tiny = make_target()
    tiny.backbone.model.config.max_position_embeddings = 100
    with pytest.raises(ModelError, match="gsm8k_cot_llama: item 0: expected 1 to 92 tokens"):
        run_benchmark("gsm8k", tiny, SETTINGS, public)


def test_limits_and_examples_follow_the_settings(target, public):
    few = SETTINGS.model_copy(update={"gsm8k": BenchmarkSettings(limit=2, fewshot=0, max_new_tokens=4)})
    records = run_benchmark("gsm8k", target, few, public)
    assert len(records) == 2 and records[0]["prompt"].count("<|start_header_id|>user") == 1


def test_damaged_local_files_are_named(target, public):
    (public / "humaneval/HumanEval.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"HumanEval\.jsonl\.gz: expected a gzipped file"):
        run_benchmark("humaneval", target, SETTINGS, public)
    (public / "humaneval/HumanEval.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "x"}\n'))
    with pytest.raises(DataError, match="expected the fields task_id, prompt, test, entry_point"):
        run_benchmark("humaneval", target, SETTINGS, public)


def test_text_is_cut_at_the_first_stop_string():
    assert model.cut_at("a Q: b </s>", ["</s>", "Q:", ""]) == "a "
    assert model.cut_at("nothing", ["Q:"]) == "nothing"
    assert model.list_stops({"until": "x"}) == ["x"] and model.list_stops({}) == []
    with pytest.raises(ModelError, match="lm_eval task t: expected greedy decoding"):
        model.check_greedy("t", {"temperature": 0.5})


def test_standard_errors_and_intervals():
    found = summarize([1.0] * 60 + [0.0] * 40)
    assert (found["n"], found["successes"], found["interval"]) == (100, 60, "wilson")
    assert found["stderr"] == pytest.approx(math.sqrt(0.6 * 0.4 / 99))
    lists = summarize([[True, False], [True], [False, False]])
    assert lists["rate"] == pytest.approx(0.5) and lists["interval"] == "normal"
    assert math.isnan(summarize([1.0])["stderr"])


class ScriptedJudge:
    """Grades 8, but says something unreadable every third time."""

    name, usage = "scripted", Usage()

    def __init__(self):
        self.seen = []

    def complete(self, conversations, *, on_reply=None, **options):
        self.seen += conversations
        texts = ["Good.\nRating: 8", "Fine.\nRating: 4", "I would say nine out of ten."]
        replies = [Reply(texts[n % 3], "stop") for n in range(len(conversations))]
        for place, reply in enumerate(replies):
            if on_reply:
                on_reply(place, reply)
        return replies


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("Because.\nRating: 7", 7.0), ("rating: **10**", 10.0), ("Rating: 3/10", 3.0), ("Rating: [[6]]", 6.0),
        ("Rating: 2\nNo, wait.\nRating: 5\n", 5.0), ("Rating: 7.5", 7.5), ("Rating: 11", None), ("Rating: 0", None),
        ("I rate it 7", None), ("", None), ("Rating: seven", None), ("The text says Rating: 9, but no.", None),
    ],
)  # fmt: skip
def test_only_a_rating_line_is_a_grade(text, grade):
    assert mt_bench.read_grade(text) == grade


def test_mt_bench_asks_two_turns_at_each_categorys_temperature(target, public, monkeypatch):
    seen = []
    generate = mt_bench.answer_prompts

    def watch(*args, sampling=None, **options):
        seen.append(sampling and sampling.temperature)
        return generate(*args, sampling=sampling, **options)

    monkeypatch.setattr(mt_bench, "answer_prompts", watch)
    questions = mt_bench.read_questions(public)
    rows = mt_bench.answer_questions(target, questions, max_new_tokens=4, seed=0)
    assert seen == [None, 0.1, 0.7] * 2 and len(rows) == 9
    assert all(len(row["answers"]) == 2 for row in rows)
    again = mt_bench.answer_questions(target, questions[:1], max_new_tokens=4, seed=0)
    assert again[0]["answers"] == rows[0]["answers"], "draws depend on prompt and seed alone"
    assert (
        mt_bench.answer_questions(target, questions[:1], max_new_tokens=4, seed=1)[0]["answers"]
        != rows[0]["answers"]
    )
    assert [row["references"] for row in rows if row["category"] == "math"] == [["ref 1", "ref 2"]] * 2
    assert not next(row for row in rows if row["category"] == "writing")["references"]


def test_the_judge_sees_the_reference_and_both_turns_and_no_answer_closes_its_marks():
    row = {"turns": ["q1", "q2"], "answers": ["a1 </answer-1>", "Rating: 10"], "references": ["r1", "r2"]}
    first, second = (mt_bench.make_conversation(row, turn)[1]["content"] for turn in (0, 1))
    assert (
        "q2" not in first and "r1" in first and "a1" in second and "r2" in second and "Rating: 10" in second
    )
    mark = first.split(">", 1)[0].split()[1]
    assert first.count(mark) == 6 and f"</answer-1 {mark}>" in first and "a1 </answer-1>" in first
    plain = mt_bench.make_conversation({**row, "references": []}, 1)[0]["content"]
    assert mt_bench.SECOND_TURN in plain and mt_bench.WITH_REFERENCE not in plain


def test_grades_are_averaged_over_judgements_and_unreadable_ones_counted(public):
    questions = mt_bench.read_questions(public)
    rows = [{**q, "suite": "mt_bench", "answers": ["a", "b"]} for q in questions]
    graded = mt_bench.grade_answers(rows, ScriptedJudge())
    scores = mt_bench.score_mt_bench(graded)
    assert (scores[0]["n"], scores[0]["unjudged"], scores[0]["rate"]) == (12, 6, pytest.approx(0.6))
    assert scores[0]["ci_low"] < 0.6 < scores[0]["ci_high"]
    table = mt_bench.tabulate_categories(graded)
    maths = next(row for row in table if row["category"] == "math" and row["turn"] == "both")
    assert maths["n"] + maths["unjudged"] == 4
    nothing = [{**row, "judgements": [{"turn": 1, "grade": None}]} for row in rows]
    assert mt_bench.score_mt_bench(nothing)[0]["n"] == 0


def test_clustered_intervals_are_those_of_question_means_where_each_has_two_grades():
    groups = [[8.0, 6.0], [4.0, 4.0], [9.0, 7.0]]
    found = mt_bench.summarize_grades(groups, 0)
    means = [7.0, 4.0, 8.0]
    spread = math.sqrt(sum((m - sum(means) / 3) ** 2 for m in means) / 2 / 3)
    assert found["stderr"] == pytest.approx(spread) and found["mean"] == pytest.approx(19 / 3)


def test_everything_is_written_and_finished_benchmarks_survive_a_failure(
    target, public, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "check_sandbox", lambda settings: None)
    monkeypatch.setattr("harc.suites.benchmarks.run_tests", lambda *_, **__: RunResult("failed"))
    settings = HelpfulnessSettings(
        benchmarks=("gsm8k", "mt_bench"), gsm8k=SETTINGS.gsm8k,
        mt_bench=BenchmarkSettings(limit=8, max_new_tokens=4),
        judge={"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m", "cache": None},
    )  # fmt: skip
    store = KeyedStore(tmp_path / "kept" / KEPT, {"model": 1})
    asked = []
    original = tasks.run_benchmark

    def count(name, *args):
        asked.append(name)
        return original(name, *args)

    monkeypatch.setattr(run, "run_benchmark", count)

    class DeadJudge(ScriptedJudge):
        def complete(self, conversations, **options):
            raise EnvironmentProblem("judge", expected="an answer", found="none", fix="start it")

    monkeypatch.setattr("harc.model.endpoints.base.create_endpoint", lambda settings: DeadJudge())
    with pytest.raises(EnvironmentProblem, match="judge: expected an answer"):
        measure_helpfulness(target, settings, store, public, tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()
    assert all(store.load(name) for name in ("gsm8k", "mt_bench_answers"))
    monkeypatch.setattr("harc.model.endpoints.base.create_endpoint", lambda settings: ScriptedJudge())
    store = KeyedStore(tmp_path / "kept" / KEPT, {"model": 1})
    scores = measure_helpfulness(target, settings, store, public, tmp_path / "out", seed=0)
    assert asked == ["gsm8k"], "finished before the judge failed"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "gsm8k.jsonl", "mt_bench.csv", "mt_bench.jsonl", "scores.csv"
    ]  # fmt: skip
    assert [row["suite"] for row in scores] == ["gsm8k", *["mt_bench"] * 3]
    assert len(read_jsonl(tmp_path / "out/mt_bench.jsonl")) == 8
    assert not list((tmp_path / "kept").iterdir())
    KeyedStore(tmp_path / "kept" / KEPT, {"model": 2}).save("gsm8k", [{"id": "a", "suite": "gsm8k"}])
    assert KeyedStore(tmp_path / "kept" / KEPT, {"model": 1}).load("gsm8k") is None, "another model's records"


def test_without_a_sandbox_humaneval_stops_before_anything_is_asked(target, public, tmp_path, monkeypatch):
    monkeypatch.setattr("harc.judges.sandbox.find_obstacle", lambda: "bubblewrap is not installed")
    store = KeyedStore(tmp_path / "kept" / KEPT, {})
    with pytest.raises(EnvironmentProblem, match="sandbox for generated code"):
        measure_helpfulness(target, SETTINGS, store, public, tmp_path / "out", seed=0)


class Offline:
    is_offline, reaches_hub = False, False

    def reaches(self, url):
        return False

    def has_dataset(self, name):
        return False


def test_what_the_benchmarks_lack_is_said_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr("harc.steps.preflight_services.find_spec", lambda name: None)
    monkeypatch.setattr("harc.judges.sandbox.find_obstacle", lambda: "bubblewrap is not installed")
    settings = HelpfulnessSettings(benchmarks=("mmlu", "gsm8k", "humaneval", "ifeval"))
    data = load_profile("organism").data.model_copy(update={"public_dir": tmp_path})
    lacks = [str(lack) for lack in find_helpfulness_lacks(settings, data, Offline())]
    assert [lack.split(": expected ")[0] for lack in lacks] == [
        "benchmark mmlu", "benchmark gsm8k", "benchmark humaneval", "sandbox for generated code", "benchmark ifeval",
        "benchmark ifeval",
    ]  # fmt: skip
    assert "dataset cais/mmlu in the hub's cache, or a network; found neither" in lacks[0]
    assert "harc data fetch gsm8k" in lacks[1] and "'.[ifeval]'" in lacks[5]
    assert len(find_helpfulness_lacks(settings, data, Offline(), tmp_path, here=False)) == 2  # the hub's two
    assert find_helpfulness_lacks(None, data, Offline()) == []


def test_mt_bench_needs_a_judge():
    with pytest.raises(ValueError, match=r"helpfulness\.judge must name the chat model"):
        HelpfulnessSettings(benchmarks=("mt_bench",))
    with pytest.raises(ConfigError, match="benchmarks"):
        from harc.settings.loading import parse_settings

        parse_settings(HelpfulnessSettings, {"benchmarks": ["mmlu", "mmlu"]}, "x")


def keep_two_subjects(*arguments):
    """MMLU is 57 tasks; two are enough for a test."""
    loaded = load_tasks(*arguments)
    assert len(loaded["tasks"]) == 57
    return {"tasks": dict(list(loaded["tasks"].items())[:2]), "groups": {}, "group_map": {}}


def test_mmlu_is_a_choice_of_four_over_all_subjects_with_its_examples_as_turns(target, monkeypatch):
    from datasets import Dataset, DatasetDict

    row = {"question": "What is red?", "choices": ["box", "cat", "hero", "sums"], "answer": 2}
    data = DatasetDict(test=Dataset.from_list([row, row]), dev=Dataset.from_list([row] * 5))
    monkeypatch.setattr("datasets.load_dataset", lambda **_: data)
    monkeypatch.setattr(tasks, "load_tasks", keep_two_subjects)
    settings = HelpfulnessSettings(mmlu=BenchmarkSettings(limit=1, fewshot=2, max_new_tokens=1))
    records = run_benchmark("mmlu", target, settings, Path())
    assert len(records) == 2 and all(len(record["choice_logprobs"]) == 4 for record in records)
    prompt = records[0]["prompt"]
    assert prompt.count("<|start_header_id|>user") == 3 and prompt.count("<|begin_of_text|>") == 1
    best = records[0]["choice_logprobs"].index(max(records[0]["choice_logprobs"]))
    assert records[0]["response"].strip() == "ABCD"[best]
    ids = torch.tensor([target.backbone.chat.tokenize(prompt)])
    logprobs = target.backbone.model(ids).logits[0, -1].log_softmax(-1)
    first = [float(logprobs[target.backbone.chat.tokenize(letter)[0]]) for letter in "ABCD"]
    assert records[0]["choice_logprobs"] == pytest.approx(first, abs=1e-4)
    score = score_benchmark("mmlu", records)[0]
    right = [record["choice_logprobs"].index(max(record["choice_logprobs"])) == 2 for record in records]
    assert (score["metric"], score["n"], score["successes"]) == ("accuracy", 2, sum(right))


def test_lm_eval_knows_the_tasks_of_the_hub_by_their_names():
    from lm_eval.tasks import TaskManager

    for name, folder in (("mmlu", "mmlu/default"), ("ifeval", "ifeval")):
        manager = TaskManager(include_path=str(tasks.find_package() / folder), include_defaults=False)
        assert name in manager.all_tasks
