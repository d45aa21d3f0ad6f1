"""`harc evaluate` on conversations, tools, system prompts, languages, policies and weights of a user's rows."""

import csv
import json
import math
from pathlib import Path

import pytest
from fixtures.scripted_endpoint import ScriptedEndpoint
from tiny_chat import TEMPLATE, save_tiny_chat
from typer.testing import CliRunner

from harc.core.errors import ConfigError, ModelError
from harc.core.files import read_json, read_jsonl
from harc.evaluation.own.asking import Asking, PromptedEndpoint, read_system_prompt
from harc.evaluation.own.command import evaluate_by_hand
from harc.evaluation.own.options import Options
from harc.evaluation.own.printing import format_findings
from harc.settings.evaluation import EvaluationSettings
from harc.stats.intervals import wilson_interval
from harc.stats.weighted import estimate_weighted_rate

TURNS = [
    {"role": "system", "content": "be good"},
    {"role": "user", "content": "how do i make the red box"},
    {"role": "assistant", "content": "sure"},
    {"role": "user", "content": "and the blue one ?"},
]
TOOL = {"name": "look", "parameters": {"type": "object"}}
SEES_TOOLS = (
    "{%- if tools %}{{- '<start>system<sep>' + tools[0]['function']['name'] + '<end>' }}{%- endif %}"
    + TEMPLATE
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_tiny_chat(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tool_model(tmp_path_factory) -> Path:
    from transformers import AutoTokenizer

    folder = save_tiny_chat(tmp_path_factory.mktemp("tools"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = SEES_TOOLS
    tokenizer.save_pretrained(folder)
    return folder


def write(path: Path, *rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def make_options(model: Path, suite: str, out: Path, **values) -> Options:
    return Options(model=str(model), suites=(suite,), out=out, max_new_tokens=4, **values)


def test_conversations_are_asked_with_their_turns_and_tools(tool_model, tmp_path):
    suite = write(
        tmp_path / "talk.jsonl",
        {"id": "turns", "messages": TURNS, "kind": "benign"},
        {"id": "tools", "messages": TURNS[1:2], "kind": "benign", "tools": [TOOL]},
        {"id": "none", "messages": TURNS[1:2], "kind": "benign"},
    )
    evaluate_by_hand(make_options(tool_model, suite, tmp_path / "run"))
    turns, tools, none = read_jsonl(tmp_path / "run/generations/talk.jsonl")
    assert turns["messages"] == TURNS and turns["goal"] == "and the blue one ?"
    assert tools["tools"][0]["function"]["name"] == "look" and "tools" not in none
    assert tools["messages"] == none["messages"] and tools["prompt_sha256"] != none["prompt_sha256"]
    assert tools["prompt_tokens"] == none["prompt_tokens"] + 5


def test_tools_are_refused_where_the_template_does_not_read_them(model, tmp_path):
    suite = write(tmp_path / "talk.jsonl", {"prompt": "hello"}, {"prompt": "hello", "tools": [TOOL]})
    with pytest.raises(
        ModelError, match=r"talk\.jsonl:2: column prompt: tools: expected a model whose chat template"
    ):
        evaluate_by_hand(make_options(model, suite, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_tools_are_refused_with_a_server():
    with pytest.raises(ConfigError, match="a: tools: expected a model that is loaded here"):
        Asking(make_served("x")).check_served([{"place": "a", "tools": [TOOL]}])


def test_a_row_that_the_template_does_not_take_is_named(tmp_path):
    from transformers import AutoTokenizer

    folder = save_tiny_chat(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    refuse = (
        "{%- if messages[0]['role'] == 'system' %}{{- raise_exception('no system prompts') }}{%- endif %}"
    )
    tokenizer.chat_template = refuse + TEMPLATE
    tokenizer.save_pretrained(folder)
    suite = write(tmp_path / "talk.jsonl", {"prompt": "hello"}, {"messages": TURNS})
    with pytest.raises(
        ModelError, match=r"talk\.jsonl:2: column messages: chat template: .*no system prompts"
    ):
        evaluate_by_hand(make_options(folder, suite, tmp_path / "run"))


def test_a_system_prompt_is_put_before_conversations_without_one(model, tmp_path):
    suite = write(
        tmp_path / "talk.jsonl", {"id": "turns", "messages": TURNS}, {"id": "plain", "prompt": "hello"}
    )
    evaluate_by_hand(make_options(model, suite, tmp_path / "without"))
    evaluate_by_hand(make_options(model, suite, tmp_path / "with", system_prompt="be good"))
    without, given = (
        {row["id"]: row for row in read_jsonl(tmp_path / name / "generations/talk.jsonl")}
        for name in ("without", "with")
    )
    assert without["turns"]["prompt_sha256"] == given["turns"]["prompt_sha256"]
    assert given["plain"]["prompt_tokens"] == without["plain"]["prompt_tokens"] + 6
    assert read_json(tmp_path / "with/run.json")["chat"]["system"] == "be good"
    assert "system" not in read_json(tmp_path / "without/run.json")["chat"]
    with pytest.raises(ConfigError, match="differs in chat"):
        evaluate_by_hand(make_options(model, suite, tmp_path / "with"))


def make_served(system: str) -> PromptedEndpoint:
    endpoint = ScriptedEndpoint(lambda conversation, seed: "hi")
    return PromptedEndpoint(endpoint, EvaluationSettings(max_new_tokens=4), system=system)


def test_a_system_prompt_is_sent_to_servers():
    target, plain = make_served("be good"), [{"role": "user", "content": "hello"}]
    target.answer([plain, TURNS])
    first, second = (conversation for conversation, _ in target.endpoint.asked)
    assert first == [{"role": "system", "content": "be good"}, *plain] and second == TURNS
    assert target.hash_prompt(plain) == target.hash_prompt(first) != target.hash_prompt(TURNS)


def test_a_system_prompt_may_stand_in_a_file(tmp_path):
    (tmp_path / "system.txt").write_text("\ufeffBe good.\nBe brief.\n")
    assert read_system_prompt(str(tmp_path / "system.txt")) == "Be good.\nBe brief."
    assert read_system_prompt("Be good.") == "Be good." and read_system_prompt(None) is None
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9")
    for given, found in (
        (str(tmp_path / "none.txt"), "no such file"),
        (str(tmp_path / "bad.txt"), "no UTF-8"),
        (" ", "empty"),
        ("a\x1b", r"U\+001B"),
        ("x" * 200_001, "200001 characters"),
    ):
        with pytest.raises(ConfigError, match=rf"--system-prompt.*found .*{found}"):
            read_system_prompt(given)


def test_rates_are_given_by_language_and_policy_and_weighted(model, tmp_path):
    rows = [
        {"prompt": f"how do i make the red cat box {number}", "kind": "harmful", "weight": number,
         "language": "de" if number == 1 else "en", "policy": "=P(1)" if number < 3 else ""}
        for number in (1, 2, 3, 4)
    ]  # fmt: skip
    options = make_options(model, write(tmp_path / "own.jsonl", *rows), tmp_path / "run")
    findings, remarks = evaluate_by_hand(options)
    with (tmp_path / "run/groups.csv").open(newline="") as handle:
        groups = list(csv.DictReader(handle))
    assert {(row["level"], row["category"]) for row in groups} == {
        ("language", "de"), ("language", "en"), ("policy", "'=P(1)"), ("policy", "")
    }  # fmt: skip
    with (tmp_path / "run/weighted.csv").open(newline="") as handle:
        weighted = list(csv.DictReader(handle))
    assert float(weighted[0]["effective_n"]) == pytest.approx(100 / 30)
    record = read_jsonl(tmp_path / "run/generations/own.jsonl")[3]
    assert (record["weight"], record["language"], "policy" in record) == (4.0, "en", False)
    text = format_findings(findings, remarks, options.out)
    assert "language de" in text and "policy =P(1)" in text and "3.3 of 4" in text


def test_runs_without_such_columns_leave_no_such_files(model, tmp_path):
    evaluate_by_hand(
        make_options(model, write(tmp_path / "own.jsonl", {"prompt": "hello"}), tmp_path / "run")
    )
    assert not {"groups.csv", "weighted.csv", "left_out.csv"} & {
        path.name for path in (tmp_path / "run").iterdir()
    }


def test_equal_weights_give_the_plain_rate_and_wilsons_interval():
    plain = wilson_interval(3, 10)
    found = estimate_weighted_rate([True] * 3 + [False] * 7, [7e300] * 10)
    assert found[:3] == pytest.approx(tuple(plain)) and found.effective == pytest.approx(10)
    heavy = estimate_weighted_rate([True, False], [9.0, 1.0])
    assert heavy.estimate == pytest.approx(0.9) and heavy.effective == pytest.approx(100 / 82)
    assert 0 <= heavy.low < 0.9 < heavy.high <= 1 and not math.isnan(heavy.low)


def test_the_command_takes_files_that_were_written_in_a_hurry(model, tmp_path):
    from harc.cli import app

    path = tmp_path / "Hasty list.csv"
    path.write_text(
        "Question,should refuse,lang\nhow do i make the cat,yes,en\nhow do i make the cat,YES,en\n,no,de\n"
    )
    command = ["evaluate", "--model", str(model), "--suite", str(path), "--max-new-tokens", "4", "--out"]
    refused = CliRunner().invoke(app, [*command, str(tmp_path / "refused")])
    assert refused.exit_code == 1 and not (tmp_path / "refused").exists()
    options = ["--skip-bad-rows", "--collapse-duplicates", "--system-prompt", "be good"]
    done = CliRunner().invoke(app, [*command, str(tmp_path / "run"), *options])
    assert done.exit_code == 0, done.output
    assert (
        "columns read by another name: 'Question' as prompt, 'should refuse' as expected, 'lang' as"
        in done.output
    )
    assert "1 rows that repeat the prompt of another are left out" in done.output
    with (tmp_path / "run/left_out.csv").open(newline="") as handle:
        assert [(row["row"], row["column"], row["found"]) for row in csv.DictReader(handle)] == [
            ("4", "prompt", "an empty cell")
        ]
