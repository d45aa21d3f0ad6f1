"""`harc evaluate` on a model behind a server: same tables, same resuming, no weights."""

import json
from dataclasses import replace

import pytest
from fixtures.scripted_endpoint import ScriptedEndpoint

from harc.core.errors import ConfigError, ModelError
from harc.core.files import read_json, read_jsonl
from harc.evaluation.own.answers import choose_text
from harc.evaluation.own.asked import gather_rows
from harc.evaluation.own.command import evaluate_by_hand
from harc.evaluation.own.options import Options
from harc.evaluation.own.printing import format_findings
from harc.model.endpoints.base import failed

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
        monkeypatch.setattr("harc.evaluation.run.create_endpoint", lambda settings: endpoint)
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
    evaluate_by_hand(replace(options, resume=True))
    assert len(endpoint.asked) == 3


def test_answers_of_another_server_are_taken_over_only_if_the_user_says_so(options, serve):
    serve(lambda *_: "Certainly, like this.")
    evaluate_by_hand(options)
    endpoint = serve(refuse_red)
    with pytest.raises(
        ConfigError, match=r"--out .*run: expected a new folder, or --resume; found answers of"
    ):
        evaluate_by_hand(options)
    assert not endpoint.asked
    findings, remarks = evaluate_by_hand(replace(options, resume=True))
    assert "0 prompts answered, 3 taken over from earlier runs" in format_findings(
        findings, remarks, options.out
    )
    findings, _ = evaluate_by_hand(replace(options, out=options.out.with_name("new")))
    assert findings.answered == {"abuse": 3} and findings.taken_over == {"abuse": 0}


def test_replies_come_from_a_cache_only_where_the_file_names_one(options, monkeypatch, tmp_path):
    asked = ScriptedEndpoint(refuse_red)
    monkeypatch.setattr("harc.model.endpoints.server.ServerEndpoint", lambda settings: asked)
    options.endpoint.write_text(SERVER.replace(", cache: null", ""))
    for number in (1, 2):
        evaluate_by_hand(replace(options, out=tmp_path / f"run{number}"))
    assert len(asked.asked) == 6
    options.endpoint.write_text(SERVER.replace("cache: null", f"cache: '{tmp_path / 'cache'}'"))
    evaluate_by_hand(replace(options, out=tmp_path / "run3"))
    asked.usage.cache_hits = 0
    findings, remarks = evaluate_by_hand(replace(options, out=tmp_path / "run4"))
    assert len(asked.asked) == 9
    said = format_findings(findings, remarks, options.out)
    assert "0 prompts answered, 0 taken over from earlier runs, 3 from a cache" in said


def test_a_reply_that_fails_ends_nothing_and_is_asked_for_again(options, serve):
    serve(lambda c, _: failed("time-out") if "blue" in c[0]["content"] else "Certainly, like this.")
    findings, remarks = evaluate_by_hand(options)
    missed = findings.scores[0]
    assert (missed["n"], missed["prompts"], missed["share_unanswered"]) == (2, 3, pytest.approx(1 / 3))
    said = format_findings(findings, remarks, options.out)
    assert "1 prompts got no answer; of 1 of them the server says: time-out" in said and "no answer" in said
    endpoint = serve(refuse_red)
    findings, _ = evaluate_by_hand(replace(options, resume=True))
    assert findings.taken_over == {"abuse": 2} and len(endpoint.asked) == 1
    assert findings.scores[0]["n"] == 3


def test_a_server_that_is_gone_stops_the_run_and_what_came_before_is_kept(options, serve, monkeypatch):
    serve(lambda *_: failed("connection refused"))
    with pytest.raises(ModelError, match=r"abuse\.jsonl.* expected a reply; found connection refused"):
        evaluate_by_hand(options)
    assert not options.out.exists() or not list(options.out.rglob("*.jsonl"))
    monkeypatch.setattr("harc.evaluation.own.run.BATCHES_KEPT", 1)
    monkeypatch.setattr("harc.suites.target.STOP_AFTER", 2)
    serve(lambda c, _: "Certainly." if "red" in c[0]["content"] else failed("connection refused"))
    with pytest.raises(ModelError, match=r"2 prompts in turn without one"):
        evaluate_by_hand(options)
    endpoint = serve(refuse_red)
    findings, _ = evaluate_by_hand(replace(options, resume=True))
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
