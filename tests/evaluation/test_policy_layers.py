"""Policy layers of each kind: what they block, what they say of a fault, and that a slow one ends."""

import json
import re
import sys
import time
from pathlib import Path

import pytest
from fixtures.misbehaving_server import raw, serve, status

from harc.cli.evaluate import GUIDE
from harc.core.errors import ConfigError, DataError, EnvironmentProblem, ModelError
from harc.core.yaml_text import parse_yaml
from harc.evaluation.policy.base import Decision, Item, read_word
from harc.evaluation.policy.command import read_answer
from harc.evaluation.policy.moderation import find_score, put_text
from harc.evaluation.policy.registry import list_kinds, read_layer, read_layers
from harc.settings.loading import parse_settings


def make(folder: Path, text: str, name: str = "guard"):
    (folder / f"{name}.yaml").write_text(text)
    return read_layer(folder / f"{name}.yaml")


def ask(layer, *prompts: str, answers=None, recorded=None):
    items = [
        Item(
            "s",
            f"r{i}",
            text,
            (answers or prompts)[i],
            ({"role": "user", "content": text},),
            (recorded or [""] * 9)[i],
        )
        for i, text in enumerate(prompts)
    ]
    try:
        return layer.decide(items)
    finally:
        layer.close()


def blocks(layer, *prompts: str, **more) -> list[bool | None]:
    return [decision.block for decision in ask(layer, *prompts, **more)]


def test_every_kind_is_found_by_its_file():
    assert set(list_kinds()) == {"recorded", "patterns", "command", "classifier", "moderation"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: keyword", r"guard\.yaml: kind: expected one of classifier, .*; found 'keyword'"),
        ("patterns: [a]", "kind: expected one of .*; found none"),
        ("kind: patterns\npatterns: [a]\npattern: [b]", "pattern: .*unknown key; did you mean 'patterns'"),
        ("kind: patterns\npatterns: ['']", "an empty text, which is in every prompt"),
        (
            "kind: patterns\nregex: true\npatterns: ['a(']",
            r"patterns\.0: expected a regular expression; found 'a\('",
        ),
        ("kind: patterns\nregex: true\npatterns: ['a)|(b']", "expected a regular expression"),
        ("kind: patterns\nregex: true\nwhole_words: false\npatterns: ['a*']", "it would block everything"),
        ("kind: patterns\npatterns: [a]\nwhere: reply", "where: expected 'prompt', 'answer' or 'both'"),
        ("kind: command\ncommand: [no-such-program]", "expected a program, .*; found 'no-such-program'"),
        ("kind: command\ncommand: [./guard.yaml]", "make the file executable"),
        ("kind: moderation\nendpoint: {kind: local, model: m}", "an endpoint of kind openai"),
        (
            "kind: moderation\nendpoint: {kind: openai, model: m, base_url: 'http://127.0.0.1:9'}\nrequest: {a: b}",
            r"a request with \{text\} in it",
        ),
    ],
)
def test_a_faulty_file_is_one_line(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        make(tmp_path, text)


def test_two_layers_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "guard.yaml").write_text("kind: patterns\npatterns: [a]")
    with pytest.raises(ConfigError, match="a second guard; write another name"):
        read_layers([tmp_path / "a/guard.yaml", tmp_path / "b/guard.yaml"])
    (tmp_path / "b/guard.yaml").write_text("kind: patterns\npatterns: [a]\nname: other")
    assert [layer.name for layer in read_layers([tmp_path / "a/guard.yaml", tmp_path / "b/guard.yaml"])] == [
        "guard",
        "other",
    ]


@pytest.mark.parametrize(
    ("word", "meant"), [("Blocked.", True), ("ALLOW", False), ("yes", None), (True, None), (1, None)]
)
def test_words_that_could_be_either_are_neither(word, meant):
    assert read_word(word) is meant


def test_patterns_mind_case_words_and_place(tmp_path):
    words = "kind: patterns\npatterns: [red cat, c++]\n"
    prompts = ("the Red  cat", "red cats", "learn C++ now", "a dog")
    assert blocks(make(tmp_path, words), *prompts) == [True, False, True, False]
    assert blocks(make(tmp_path, f"{words}whole_words: false"), *prompts) == [True, True, True, False]
    assert blocks(make(tmp_path, f"{words}case: true"), *prompts) == [False, False, False, False]
    answers = ["a dog", "red cat", "x", "c++"]
    assert blocks(make(tmp_path, f"{words}where: answer"), *prompts, answers=answers) == [
        False,
        True,
        False,
        True,
    ]
    assert blocks(make(tmp_path, f"{words}where: both"), *prompts, answers=answers) == [
        True,
        True,
        True,
        True,
    ]
    (found,) = ask(
        make(tmp_path, "kind: patterns\nregex: true\npatterns: ['gate [0-9]+|lamp']"), "the gate 12"
    )
    assert found == Decision(True, reason="gate [0-9]+|lamp")


def test_an_expression_that_never_ends_is_ended(tmp_path):
    slow = "kind: patterns\nregex: true\nwhole_words: false\ntimeout_s: 0.3\npatterns: ['^(a|aa)+$']"
    start = time.monotonic()
    with pytest.raises(
        DataError, match=r"pattern '\^\(a\|aa\)\+\$' on s: r0: expected a search of at most 0\.3 s"
    ):
        ask(make(tmp_path, slow), "a" * 60 + "!")
    assert time.monotonic() - start < 5


def test_recorded_decisions_come_from_rows_or_a_file(tmp_path):
    layer = make(tmp_path, "kind: recorded")
    assert blocks(layer, "a", "b", "c", recorded=["Blocked", "pass", ""]) == [True, False, None]
    with pytest.raises(DataError, match=r"x\.csv:3: column decision: expected block or allow.*found 'yes'"):
        layer.prepare([{"id": "r0", "decision": "yes", "place": "x.csv:3: column prompt"}])
    with pytest.raises(
        DataError, match="expected decisions on the prompts that are asked; found none in the column"
    ):
        layer.prepare([{"id": "r0", "decision": "", "place": "x"}])
    (tmp_path / "log.csv").write_text("\ufeffID,Decision,note\nr0,1,\nr2,0,\nr9,1,\n")
    layer = make(tmp_path, "kind: recorded\nfile: log.csv\nblock: ['1']\nallow: ['0']")
    assert blocks(layer, "a", "b", "c") == [True, None, False]
    said = layer.prepare([{"id": name} for name in ("r0", "r1", "r2")])
    assert "1 of 3 prompts have no decision" in said[0] and "1 ids of" in said[1]
    with pytest.raises(DataError, match="no id of theirs in"):
        layer.prepare([{"id": "other"}])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("id,decision\na,block\na,allow\n", r"log\.csv:3: column id: expected an id, each once; found 'a'"),
        ("id,verdict\na,block\n", "expected the columns id, decision, each once; found no decision"),
        ("id,decision\na,maybe\n", "found 'maybe'; name the word under block or allow"),
        ("id,decision\na\n", "expected 2 cells, as in the header; found 1"),
        ("id,decision\n", "expected at least one row"),
        (None, "no such file"),
    ],
)
def test_a_faulty_table_of_decisions_is_one_line(tmp_path, table, said):
    if table is not None:
        (tmp_path / "log.csv").write_text(table)
    with pytest.raises(DataError, match=said):
        make(tmp_path, "kind: recorded\nfile: log.csv")


GUARD = """import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"decision": "block" if "red" in asked["prompt"] else "allow", "score": 0.5}), flush=True)
"""


def make_command(folder: Path, code: str, more: str = ""):
    (folder / "guard.py").write_text(code)
    return make(folder, f"kind: command\ncommand: [{sys.executable}, guard.py]\n{more}")


def test_a_command_answers_line_by_line_in_its_own_folder(tmp_path):
    layer = make_command(tmp_path, GUARD)
    assert ask(layer, "red\nlamp", "blue") == [Decision(True, 0.5), Decision(False, 0.5)]
    assert layer.program is None
    before = layer.describe()
    (tmp_path / "guard.py").write_text(GUARD + "# changed")
    assert layer.describe() != before, "an edited program decides anew"


def test_a_command_may_read_its_whole_input_or_end_after_each_line(tmp_path):
    whole = "import json, sys\nprint(json.dumps({'block': 'red' in json.load(sys.stdin)['prompt']}))"
    assert blocks(make_command(tmp_path, whole, "restart: true"), "red", "blue", "red") == [True, False, True]
    once = "import sys\nprint('{\"block\": true}' if 'red' in sys.stdin.readline() else '{\"block\": false}')"
    assert blocks(make_command(tmp_path, once), "red", "blue", "red") == [True, False, True]


def test_long_prompts_pass_through_a_pipe(tmp_path):
    assert blocks(make_command(tmp_path, GUARD), "x" * 300_000 + "red") == [True]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit('no model')", "the program ended with status 1; it says: no model"),
        ("import time; time.sleep(60)", "no line within 0.5 s"),
        ("input(); print('block')", "no line of JSON"),
        ("input(); print('[1]')", "JSON that is no object"),
        ("input(); print('{\"score\": 1}')", "neither decision"),
        ("input(); print('x' * 2_000_000)", "a line of more than"),
    ],
)
def test_a_command_without_a_decision_says_why(tmp_path, code, said):
    (found,) = ask(make_command(tmp_path, code, "start_s: 0.5" if "sleep" in code else ""), "red")
    assert found.block is None and said in found.reason


def test_what_a_line_may_say():
    assert read_answer(b'{"block": false, "reason": "a\\nb"}') == Decision(False, None, "a b")
    assert read_answer(b'{"decision": "flagged", "score": 2}') == Decision(True, 2.0)
    assert read_answer(b"\xff").block is None


def moderate(url: str, more: str = "") -> str:
    waits = "first_wait_s: 0.01, longest_wait_s: 0.01, concurrency: 1"
    return f"kind: moderation\nendpoint: {{kind: openai, base_url: '{url}', model: m, retries: 1, {waits}}}\n{more}"


def flag(flagged: bool, **scores: float) -> bytes:
    return json.dumps({"results": [{"flagged": flagged, "category_scores": scores}]}).encode()


def test_a_moderation_server_is_asked_as_openai_does(tmp_path, monkeypatch):
    monkeypatch.setenv("GUARD_KEY", "secret-key-of-a-server")
    with serve([raw(flag(True)), raw(flag(False))]) as (url, server):
        text = moderate(url).replace("model: m", "model: m, key_variable: GUARD_KEY")
        assert blocks(make(tmp_path, text), "red", "blue") == [True, False]
        headers, body = server.requests[0]
        assert (
            body == {"model": "m", "input": "red"}
            and headers["authorization"] == "Bearer secret-key-of-a-server"
        )


def test_any_server_with_a_score_is_asked(tmp_path):
    form = "path: ''\nrequest: {texts: ['{text}']}\nscore: [out.0.a, out.0.b]\nthreshold: 0.7"
    answers = [{"out": [{"a": 0.1, "b": 0.8}]}, {"out": [{"a": 0.6, "b": 0.2}]}]
    with serve([raw(json.dumps(body).encode()) for body in answers]) as (url, server):
        found = ask(make(tmp_path, moderate(url, form)), "red", "blue")
        assert found == [Decision(True, 0.8, "out.0.b"), Decision(False, 0.6)]
        assert server.requests[0][1] == {"texts": ["red"]}
    assert put_text({"a": ["x {text}", 1]}, "red") == {"a": ["x red", 1]}
    assert find_score({"action": "block"}, "action") == 1.0


@pytest.mark.parametrize(
    ("behaviours", "block", "said"),
    [
        ([status(500), raw(flag(True))], True, ""),
        ([status(503)], None, "status 503"),
        ([status(400)], None, "status 400"),
        ([raw(b"{}")], None, "no 'results' of results.0.flagged in the answer"),
        ([raw(b"<html>")], None, "tried 2 times"),
    ],
)
def test_failures_of_a_server_are_tried_again_and_told(tmp_path, behaviours, block, said):
    with serve(behaviours) as (url, _):
        (found,) = ask(make(tmp_path, moderate(url)), "red")
    assert found.block is block and said in found.reason


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (status(401), "expected a key that the server takes; found status 401"),
        (status(404), "check base_url and path"),
        (status(302, {"location": "http://example.org/"}), "a redirect from .* to example.org"),
    ],
)
def test_what_every_prompt_would_meet_ends_the_run(tmp_path, behaviour, said):
    with serve([behaviour]) as (url, _), pytest.raises(EnvironmentProblem, match=said):
        ask(make(tmp_path, moderate(url)), "red")


def test_a_missing_key_is_told_before_anything_is_asked(tmp_path):
    text = moderate("http://127.0.0.1:9").replace("model: m", "model: m, key_variable: NO_SUCH_KEY")
    with pytest.raises(EnvironmentProblem, match="export NO_SUCH_KEY"):
        make(tmp_path, text)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    """A classifier whose third label follows from one word alone."""
    import torch
    from tiny_chat import make_tokenizer
    from transformers import LlamaConfig, LlamaForSequenceClassification

    folder, tokenizer = tmp_path_factory.mktemp("classifier"), make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=32, pad_token_id=tokenizer.pad_token_id, num_labels=3,
        id2label={0: "fine", 1: "rude", 2: "unsafe"}, label2id={"fine": 0, "rude": 1, "unsafe": 2},
    )  # fmt: skip
    model = LlamaForSequenceClassification(config)
    with torch.no_grad():  # the residual carries the last token's embedding through
        for parameter in model.model.layers.parameters():
            parameter.zero_()
        model.model.embed_tokens.weight.zero_()
        model.model.embed_tokens.weight[tokenizer.convert_tokens_to_ids("red"), 0] = 1.0
        model.score.weight.zero_()
        model.score.weight[2, 0] = 5.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_classifier_blocks_its_labels(tmp_path, classifier):
    text = f"kind: classifier\nmodel: {classifier}\nblock_labels: [unsafe]\nthreshold: 0.9"
    layer = make(tmp_path, text)
    assert layer.prepare([]) == [] and "weights" in layer.describe()
    found = ask(layer, "the cat red", "the cat", "", "blue")
    assert [decision.block for decision in found] == [True, False, False, False]
    assert found[0].score > 0.99 and found[1].score == pytest.approx(1 / 3, abs=1e-3)
    assert blocks(make(tmp_path, f"{text}\nexclusive: false"), "the cat red", "cat") == [True, False]


def test_no_part_of_a_long_text_goes_unread(tmp_path, classifier):
    text = f"kind: classifier\nmodel: {classifier}\nblock_labels: [unsafe]\nthreshold: 0.9\nmax_tokens: 8"
    layer = make(tmp_path, text)
    windows = layer.cut(" ".join(["cat"] * 30 + ["red"]))
    assert len(windows) > 3 and max(map(len, windows)) == 8 and windows[0] != windows[-1]
    assert blocks(layer, " ".join(["cat"] * 30 + ["red"])) == [True]


@pytest.mark.parametrize(
    ("labels", "error", "said"),
    [
        ("[toxic]", ConfigError, "expected labels of the model: fine, rude, unsafe; found 'toxic'"),
        ("[fine, rude, unsafe]", ConfigError, "all of them, which would block everything"),
    ],
)
def test_labels_that_a_classifier_does_not_have_are_told_early(tmp_path, classifier, labels, error, said):
    with pytest.raises(error, match=said):
        make(tmp_path, f"kind: classifier\nmodel: {classifier}\nblock_labels: {labels}").prepare([])


def test_a_chat_model_is_no_classifier(tmp_path):
    from tiny_chat import save_tiny_chat

    save_tiny_chat(tmp_path / "chat")
    with pytest.raises(ModelError, match=r"no weights for score\.weight"):
        make(tmp_path, "kind: classifier\nmodel: chat\nblock_labels: [LABEL_1]").prepare([])


def test_the_files_of_the_documents_are_read():
    root = Path(__file__).parents[2]
    shown = re.findall(
        r"^```yaml\n(.*?)^```", (root / "docs/policy.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    shown += re.findall(
        r"^    (\{kind: (?:recorded|patterns|command|classifier|moderation).*\})", GUIDE, re.MULTILINE
    )
    kinds = [values["kind"] for values in map(parse_yaml, shown)]
    assert set(kinds) == set(list_kinds()) and len(kinds) == 11
    for text in shown:
        values = parse_yaml(text)
        parse_settings(list_kinds()[values["kind"]].settings, values, "docs/policy.md")
