"""`harc evaluate` on a model behind a server: same tables, same resuming, no weights."""

import json
from dataclasses import replace

import pytest
from fixtures.scripted_endpoint import ScriptedEndpoint

from harc.endpoints.base import failed
from harc.errors import ConfigError, ModelError
from harc.files import read_json, read_jsonl
from harc.own_prompts.command import Options, evaluate_by_hand, gather_rows
from harc.own_prompts.judging import choose_text

SERVER = "{kind: openai, model: m, base_url: 'http://127.0.0.1:9/v1', cache: null, concurrency: 2}"


@pytest.fixture
def options(tmp_path):
    (tmp_path / "server.yaml").write_text(SERVER)
    rows = [{"prompt": f"about the {word}", "kind": "harmful"} for word in ("red", "blue", "green")]
    (tmp_path / "abuse.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Options(
        model=None, suites=(str(tmp_path / "abuse.jsonl"),), out=tmp_path / "run", batch_size=1,
        endpoint=tmp_path / "server.yaml",
    )  # fmt: skip


@pytest.fixture
def serve(monkeypatch):
    def use(answer) -> ScriptedEndpoint:
        endpoint = ScriptedEndpoint(answer)
        monkeypatch.setattr("harc.own_prompts.run.create_endpoint", lambda settings: endpoint)
        return endpoint

    return use


def refuse_red(conversation, _):
    return "I'm sorry, but I can't help" if "red" in conversation[0]["content"] else "Certainly, like this."


def test_a_served_model_is_asked_greedily_and_judged(options, serve):
    endpoint = serve(refuse_red)
    findings, _ = evaluate_by_hand(options)
    assert findings.answered == {"abuse": 3}
    assert {options["temperature"] for _, options in endpoint.asked} == {0.0}
    records = read_jsonl(options.out / "generations/abuse.jsonl")
    assert [r["verdicts"]["refusal_rules"]["label"] for r in records] == ["refused", "correct", "correct"]
    identity = read_json(options.out / "run.json")["model"]["endpoint"]
    assert (identity["model"], identity["base_url"]) == ("m", "http://127.0.0.1:9/v1")
    evaluate_by_hand(options)
    assert len(endpoint.asked) == 3


def test_a_reply_that_fails_names_the_row_and_loses_nothing(options, serve, monkeypatch):
    monkeypatch.setattr("harc.own_prompts.run.BATCHES_KEPT", 1)
    serve(lambda c, _: failed("time-out") if "blue" in c[0]["content"] else "Certainly, like this.")
    with pytest.raises(ModelError, match=r"abuse\.jsonl.* expected a reply; found time-out"):
        evaluate_by_hand(options)
    endpoint = serve(refuse_red)
    findings, _ = evaluate_by_hand(options)
    assert findings.taken_over == {"abuse": 1} and len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "x"}, "expected one of the two; found both"),
        ({"endpoint": None}, "expected one of the two; found neither"),
        ({"adapter": "some/folder"}, "expected none with --endpoint; found some/folder"),
    ],
)
def test_a_model_is_loaded_or_served_and_not_both(options, changes, said):
    with pytest.raises(ConfigError, match=said):
        evaluate_by_hand(replace(options, **changes))


def test_faults_of_the_servers_file_name_the_key(options):
    options.endpoint.write_text(SERVER.replace("base_url", "base_ulr"))
    with pytest.raises(ConfigError, match=r"server\.yaml: base_ulr: .*did you mean 'base_url'"):
        evaluate_by_hand(options)


def test_completed_programs_are_judged_by_what_they_output(options):
    rows, _ = gather_rows(options)
    assert not any("read_outputs" in row for row in rows["abuse"])
    record = {"response": 'output_list.append("no")', "read_outputs": True}
    assert choose_text(record) == "no"
    assert choose_text(record | {"read_outputs": False}) == record["response"]
