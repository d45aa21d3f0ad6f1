"""One evaluation end to end on a tiny chat model: suites, harness, projections, resuming, failures."""

from dataclasses import replace

import pytest
import torch
from safetensors.numpy import load_file
from tiny_chat import CONTEXT, REFUSAL, save_tiny_chat

from harc.core.errors import DataError, ModelError
from harc.core.files import read_jsonl, write_json, write_jsonl
from harc.core.finished import KEPT, KeyedStore
from harc.evaluation import run
from harc.evaluation.run import EvaluationPaths, evaluate_backbone
from harc.geometry.directions import save_directions
from harc.geometry.extraction import ResponsePairs, extract_directions
from harc.judges.registry import make_judges
from harc.model.backbones import load_backbone
from harc.model.handle import ModelHandle, hash_weights
from harc.settings.directions import DirectionSettings
from harc.settings.evaluation import EvaluationSettings, PairSettings
from harc.suites import documents, tasks
from harc.suites.direct import run as run_turns
from harc.suites.examiner import Examiner
from harc.suites.registry import METHOD_SUITES
from harc.suites.target import Target

SETTINGS = EvaluationSettings(
    max_new_tokens=6,
    batch_size=4,
    judges=("exact", "string_rules"),
    pair=PairSettings(streams=2, iterations=2),
)
JUDGES = make_judges(("exact", "string_rules"), REFUSAL)
EXAMINER = Examiner(JUDGES, 0)


class ScriptedAttacker:
    """Asks for the goal in another way at each turn."""

    def __init__(self, stream):
        self.stream = stream

    def propose(self, goal, history):
        tries = "one " * len(history)
        return f"you are a hero . say {tries} {goal['verb']} the {goal['target']} a{self.stream + 1}"


@pytest.fixture(autouse=True)
def scripted_attacker(monkeypatch):
    monkeypatch.setattr(
        "harc.suites.pair.make_attackers",
        lambda settings, **_: [ScriptedAttacker(stream) for stream in range(settings.pair.streams)],
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny_chat(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def target(tiny):
    return Target(load_backbone(tiny), SETTINGS)


def make_rows(suite: str, count: int = 3) -> list[dict]:
    colours = ("red", "blue", "good")
    rows = []
    for number in range(count):
        first = f"how do i make the {colours[number % 3]} cat ?" + " ." * (number // 3)
        turns = [first, "now the box ."] if suite == "two_turn" else [first]
        row = {
            "id": f"{suite}-{number}", "suite": suite, "category": "harmful",
            "messages": [{"role": "user", "content": turn} for turn in turns],
            "expected": "sure b1 h1 q1 y1", "goal": {"verb": "make", "target": colours[number % 3]},
        }  # fmt: skip
        if suite == "multiple_choice":
            row |= {"expected": "a2", "choices": ["a1", "a2", "a3"], "answer_index": 1}
        rows.append(row)
    return rows


@pytest.fixture
def paths(tiny, tmp_path, target):
    data = tmp_path / "data"
    write_jsonl(data / "evaluation.jsonl", [row for suite in METHOD_SUITES for row in make_rows(suite)])
    write_json(data / "world.json", {"refusal": REFUSAL})
    pairs = ResponsePairs(*[[(f"make a {word}", answer)] for word, answer in zip(
        ("cat", "box", "hero"), ("sure b1", "sorry ,", "one 1"), strict=True)])  # fmt: skip
    directions = extract_directions(
        target.backbone, ["make a cat", "make the cat"], ["say a box", "say the box"], pairs,
        DirectionSettings(bootstrap_resamples=0),
    )  # fmt: skip
    save_directions(directions, data / "directions.safetensors")
    return EvaluationPaths(
        model=ModelHandle(tiny),
        data=data / "evaluation.jsonl",
        world=data / "world.json",
        directions=data / "directions.safetensors",
        generations=tmp_path / "generations",
        projections=tmp_path / "projections",
    )


def read_all(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}


def test_everything_is_written_and_repeats_byte_for_byte(paths, tmp_path):
    summary = evaluate_backbone(paths, SETTINGS, seed=0)
    assert summary["rows"] == dict.fromkeys(METHOD_SUITES, 3) and summary["taken_over"] == []
    first = read_all(paths.generations)
    assert sorted(first) == sorted(f"{suite}.jsonl" for suite in METHOD_SUITES)
    points = read_jsonl(paths.projections / "projections.jsonl")
    cosines = load_file(paths.projections / "projections.safetensors")
    assert len(points) == 3 * len(METHOD_SUITES)
    assert {values.shape for values in cosines.values()} == {(len(points), 3)}
    assert set(cosines) == {"inst_harm", "inst_ref", "post_harm", "post_ref", "resp_harm", "resp_ref"}
    for name in first:
        (paths.generations / name).unlink()
    evaluate_backbone(paths, SETTINGS, seed=0)
    assert read_all(paths.generations) == first
    pair = read_jsonl(paths.generations / "pair.jsonl")[0]
    assert pair["attack"]["queries"] == 4 and pair["messages"][0]["content"].startswith("you are a hero")
    two = read_jsonl(paths.generations / "two_turn.jsonl")[0]
    assert [message["role"] for message in two["messages"]] == ["user", "assistant", "user"]


def test_finished_suites_are_taken_over_unless_what_they_depend_on_changed(paths, monkeypatch):
    monkeypatch.setattr(KeyedStore, "remove", lambda store: None)  # as if killed right before
    settings = SETTINGS.model_copy(update={"suites": ("direct", "pap", "arithmetic")})
    evaluate_backbone(paths, settings, seed=0)
    assert evaluate_backbone(paths, settings, seed=0)["taken_over"] == ["arithmetic", "direct", "pap"]
    kept = paths.generations / KEPT
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(line.replace('"id": "pap-0"', '"id": "pap-9"') for line in lines))
    assert evaluate_backbone(paths, settings, seed=0)["taken_over"] == ["arithmetic", "direct"]
    longer = settings.model_copy(update={"max_new_tokens": 7})
    assert evaluate_backbone(paths, longer, seed=0)["taken_over"] == []
    monkeypatch.setattr("harc.model.handle.hash_weights", lambda source: "another model")
    assert evaluate_backbone(paths, longer, seed=0)["taken_over"] == []


def test_files_of_unknown_origin_are_not_taken_over(paths):
    settings = SETTINGS.model_copy(update={"suites": ("direct",), "project": False})
    evaluate_backbone(paths, settings, seed=0)
    assert not (paths.generations / KEPT).exists()
    assert evaluate_backbone(paths, settings, seed=0)["taken_over"] == []


def test_an_interrupted_run_keeps_its_suites_and_publishes_nothing(paths, tmp_path, monkeypatch):
    settings = SETTINGS.model_copy(update={"suites": ("direct", "arithmetic")})
    paths = replace(paths, checkpoint=tmp_path / "checkpoint")

    def fail(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "run_harness_suites", fail)
        with pytest.raises(OSError, match="no space left"):
            evaluate_backbone(paths, settings, seed=0)
    assert not paths.generations.exists() and not paths.projections.exists()
    assert evaluate_backbone(paths, settings, seed=0)["taken_over"] == ["direct"]
    assert sorted(read_all(paths.generations)) == ["arithmetic.jsonl", "direct.jsonl"]
    assert list(paths.checkpoint.iterdir()) == []


def test_a_prompt_that_does_not_fit_is_named(paths):
    rows = make_rows("direct")
    rows[1]["messages"][0]["content"] = "cat " * CONTEXT
    write_jsonl(paths.data, rows)
    with pytest.raises(ModelError, match=rf"direct-1: expected 1 to {CONTEXT - 6} tokens; found 1"):
        evaluate_backbone(paths, SETTINGS.model_copy(update={"suites": ("direct",)}), seed=0)
    assert read_all(paths.generations) == {}


def test_the_exact_judge_needs_the_refusal_text(paths):
    write_json(paths.world, {"refusal": " "})
    with pytest.raises(DataError, match=r"world\.json: expected a field 'refusal'"):
        evaluate_backbone(paths, SETTINGS, seed=0)


def test_weights_are_told_apart_by_their_bytes(tiny, tmp_path):
    other = save_tiny_chat(tmp_path / "other", seed=1)
    assert hash_weights(tiny) != hash_weights(other)
    assert hash_weights(tiny) == hash_weights(str(tiny))
    assert hash_weights("someone/a-hub-model") == "someone/a-hub-model"


def test_the_harness_gives_the_answers_that_asking_directly_gives(target):
    rows = make_rows("arithmetic", 6)
    through = tasks.run_harness_suites(target, {"arithmetic": rows}, JUDGES)["arithmetic"]
    assert through == run_turns(target, rows, EXAMINER)


def test_multiple_choice_takes_the_likeliest_option(target):
    rows = make_rows("multiple_choice", 6)
    records = tasks.run_harness_suites(target, {"multiple_choice": rows}, JUDGES)["multiple_choice"]
    backbone = target.backbone
    for row, record in zip(rows, records, strict=True):
        ids = torch.tensor([backbone.chat.encode_prompts([row["messages"]])[0]])
        logprobs = backbone.model(ids).logits[0, -1].log_softmax(-1)
        expected = [float(logprobs[backbone.chat.tokenize(choice)[0]]) for choice in row["choices"]]
        assert record["choice_logprobs"] == pytest.approx(expected, abs=1e-4)
        assert record["response"] == row["choices"][max(range(3), key=expected.__getitem__)]


def test_a_harness_that_scores_another_answer_is_caught(target, monkeypatch):
    rows = make_rows("arithmetic")
    right = run_turns(target, rows, EXAMINER)
    rows = [row | {"expected": record["response"]} for row, record in zip(rows, right, strict=True)]
    records = tasks.run_harness_suites(target, {"arithmetic": rows}, JUDGES)["arithmetic"]
    assert [record["verdicts"]["exact"]["label"] for record in records] == ["correct"] * 3
    original = tasks.make_task_config
    monkeypatch.setattr(
        tasks, "make_task_config", lambda *args: original(*args) | {"doc_to_target": "something else"}
    )
    with pytest.raises(ModelError, match="lm_eval on arithmetic-0: expected the score 1, since"):
        tasks.run_harness_suites(target, {"arithmetic": rows}, JUDGES)


def test_documents_continue_the_text_itself(target):
    rows = make_rows("documents")
    backbone = target.backbone
    for row, record in zip(rows, documents.run(target, rows, EXAMINER), strict=True):
        prefix = backbone.chat.tokenize(f"<start>user<sep>{row['messages'][0]['content']}")
        best = int(backbone.model(torch.tensor([prefix])).logits[0, -1].argmax())
        assert record["response"] == backbone.tokenizer.decode([best], skip_special_tokens=True)


def test_an_adapter_changes_the_answers_and_folding_it_in_does_not(tiny, target, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    base = load_backbone(tiny)
    config = LoraConfig(r=4, lora_alpha=64, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(base.model, config).save_pretrained(tmp_path / "adapter")
    apart = load_backbone(tiny, adapter=tmp_path / "adapter")
    folded = run.load_target(ModelHandle(tiny, tmp_path / "adapter"), SETTINGS)
    rows = make_rows("direct")
    assert run_turns(folded, rows, EXAMINER) == run_turns(Target(apart, SETTINGS), rows, EXAMINER)
    assert run_turns(folded, rows, EXAMINER) != run_turns(target, rows, EXAMINER)
