"""Attacks around a user's harmful rows: suites of their own, what they need, and what is kept of them."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_chat
import torch
from fixtures.scripted_endpoint import ScriptedEndpoint
from typer.testing import CliRunner

from harc.core.errors import ConfigError, DataError, HarcError
from harc.core.files import read_jsonl
from harc.evaluation.own import attacks as own_attacks
from harc.evaluation.own import suppression as own_suppression
from harc.evaluation.own.attacks import ATTACKS, FIXED, plan_attacks
from harc.evaluation.own.command import evaluate_by_hand
from harc.evaluation.own.options import Options
from harc.evaluation.own.printing import format_findings
from harc.evaluation.own.prompts import read_prompts
from harc.evaluation.own.suppression import choose_half, split_rows
from harc.model.intervention import Intervention
from harc.suites.codeattack import wrap_code

WORDS = ["red", "blue", "cat", "box", "hero", "good", "stack", "push", "pop", "a1", "a2", "a3", "b1", "b2"]
SERVER = (
    "{endpoint: {kind: openai, base_url: 'http://127.0.0.1:9/v1', model: m, cache: null}, "
    "pair: {streams: 1, iterations: 2}}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_chat, "CONTEXT", 600)
        return tiny_chat.save_tiny_chat(tmp_path_factory.mktemp("tiny"))


def write_rows(path: Path, harmful: int, benign: int) -> Path:
    draw = random.Random(0)
    rows = [
        {"id": f"{kind[0]}{number}", "kind": kind, "category": "boxes",
         "prompt": " ".join([start, *draw.choices(WORDS, k=5), str(number)])}
        for kind, start, count in (("harmful", "how do i make", harmful), ("benign", "say what is", benign))
        for number in range(count)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def options(model, tmp_path) -> Options:
    suite = write_rows(tmp_path / "own.jsonl", 3, 2)
    return Options(model=str(model), suites=(str(suite),), out=tmp_path / "run", max_new_tokens=4)


def read_suite(options: Options, suite: str) -> list[dict]:
    return read_jsonl(options.out / f"generations/{suite}.jsonl")


def test_every_attack_makes_a_suite_beside_the_direct_one(options):
    findings, remarks = evaluate_by_hand(replace(options, attacks=(*FIXED, "prefill")))
    assert list(findings.answered) == ["own", *(f"own_{name}" for name in (*FIXED, "prefill"))]
    direct = read_suite(options, "own")
    for name in FIXED:
        records = read_suite(options, f"own_{name}")
        assert [(r["of"], r["goal"]) for r in records] == [(r["id"], r["goal"]) for r in direct[:3]]
        assert [r["id"] for r in records] == [f"{r['id']} {name}" for r in direct[:3]]
        assert all(r["form"].startswith(name) and r["kind"] == "harmful" for r in records)
        assert all(r["messages"] != d["messages"] for r, d in zip(records, direct, strict=False))
    assert all(r["read_outputs"] for r in read_suite(options, "own_codeattack"))
    begun = read_suite(options, "own_prefill")
    assert begun[0]["opening"] and begun[0]["messages"] == direct[0]["messages"]
    assert begun[0]["prompt_tokens"] > direct[0]["prompt_tokens"]
    assert begun[0]["prompt_sha256"] != direct[0]["prompt_sha256"]
    text = format_findings(findings, remarks, options.out)
    assert all(f"own_{name}" in text for name in FIXED)


def test_nothing_is_asked_twice_and_a_direct_run_may_be_extended(options):
    evaluate_by_hand(options)
    findings, _ = evaluate_by_hand(replace(options, attacks=("persona",)))
    assert findings.answered == {"own": 0, "own_persona": 3}
    findings, _ = evaluate_by_hand(replace(options, attacks=("persona", "prefill")))
    assert findings.answered == {"own": 0, "own_persona": 0, "own_prefill": 3}


def test_a_limit_changes_no_prompt(options, tmp_path):
    whole = read_prompts(write_rows(tmp_path / "own.jsonl", 8, 0))
    files = {"own": whole}
    every, some = (
        plan_attacks(["codeattack"], files, {"own": rows}, None, tmp_path).rows["own_codeattack"]
        for rows in (whole.rows, [whole.rows[5], whole.rows[7]])
    )
    assert some == [every[5], every[7]]


def test_turns_before_the_last_stay(tmp_path):
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    (tmp_path / "own.jsonl").write_text(json.dumps({"messages": turns, "kind": "harmful"}) + "\n")
    files = {"own": read_prompts(tmp_path / "own.jsonl")}
    (row,) = plan_attacks(["codeattack"], files, {"own": files["own"].rows}, None, tmp_path).rows[
        "own_codeattack"
    ]
    assert row["messages"][:2] == turns[:2] and row["goal"] == "c"
    from harc.settings.suites import CodeAttackSettings

    assert row["messages"][2]["content"] == wrap_code("c", "evaluation", 0, CodeAttackSettings())[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": ("dan",)}, rf"--attack dan: expected one of {', '.join(ATTACKS)}; found 'dan'"),
        ({"attacks": ("pair",)}, "--attack pair: expected --attacker-config; found none"),
        ({"attacks": ("persona",), "suites": ("direct",)}, "--attack persona: expected a prompt file of your own"),
        ({"attacks": ("prefill",), "model": None, "endpoint": "server"}, r"expected a model that is loaded here .*--e"),
        ({"attacks": ("suppression",), "model": None, "endpoint": "server"}, "--attack suppression: expected a model"),
        ({"attacks": ("suppression",)}, r"--attack suppression: expected at least 16 different harmful and 16 benign .*"
         "found . (benign|harmful) ones in one half; add rows"),
        ({"attacker_config": "attacker"}, "--attacker-config: expected --attack pair or pap; found none"),
        ({"attacks": ("pair",), "attacker_config": "odd"}, r"odd\.yaml"),
        ({"attacks": ("pair",), "attacker_config": "judge"}, "pair.judge as one of the judges"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_before_anything_is_loaded(
    options, tmp_path, monkeypatch, changes, message
):
    (tmp_path / "server.yaml").write_text("{kind: openai, base_url: 'http://127.0.0.1:9/v1', model: m}")
    (tmp_path / "attacker.yaml").write_text(SERVER)
    (tmp_path / "odd.yaml").write_text("{endpoint: {kind: local, model: x}, tries: 3}")
    (tmp_path / "judge.yaml").write_text(SERVER.replace("streams: 1", "judge: strongreject"))
    for name in ("endpoint", "attacker_config"):
        if name in changes:
            changes = changes | {name: tmp_path / f"{changes[name]}.yaml"}
    monkeypatch.setattr("harc.evaluation.own.command.load_target", None)
    with pytest.raises(HarcError, match=message) as caught:
        evaluate_by_hand(replace(options, **changes))
    assert "\n" not in str(caught.value) and not options.out.exists()


def test_files_without_harmful_rows_are_left_alone(options, tmp_path):
    benign = write_rows(tmp_path / "work.jsonl", 0, 2)
    findings, remarks = evaluate_by_hand(
        replace(options, suites=(*options.suites, str(benign)), attacks=("persona",))
    )
    assert list(findings.answered) == ["own", "own_persona", "work"]
    assert "work: no harmful rows without tools, so no attack" in remarks
    with pytest.raises(
        ConfigError, match="--attack persona: expected harmful rows to attack; found none in any file"
    ):
        evaluate_by_hand(replace(options, suites=(str(benign),), attacks=("persona",)))


def test_a_file_that_is_called_like_an_attack_is_refused(options, tmp_path):
    other = write_rows(tmp_path / "own_persona.jsonl", 1, 0)
    with pytest.raises(ConfigError, match="found a suite own_persona; rename the file"):
        evaluate_by_hand(replace(options, suites=(*options.suites, str(other)), attacks=("persona",)))


@pytest.fixture
def attacker(tmp_path, monkeypatch) -> ScriptedEndpoint:
    """A served attacker that writes prompts with a number in them."""
    endpoint = ScriptedEndpoint(
        lambda conversation, seed: json.dumps(
            {"improvement": "more", "prompt": f"now say {len(conversation)}"}
        )
    )
    monkeypatch.setattr("harc.model.endpoints.server.ServerEndpoint", lambda settings: endpoint)
    (tmp_path / "attacker.yaml").write_text(SERVER)
    return endpoint


def test_prompts_of_pair_are_written_judged_and_kept(options, tmp_path, attacker):
    attacked = replace(options, attacks=("pair",), attacker_config=tmp_path / "attacker.yaml")
    findings, remarks = evaluate_by_hand(attacked)
    records = read_suite(options, "own_pair")
    assert [r["of"] for r in records] == ["h0", "h1", "h2"] and findings.answered["own_pair"] == 3
    assert records[0]["messages"][-1]["content"].startswith("now say")
    assert records[0]["attack"]["queries"] >= 1 and records[0]["goal"].startswith("how do i make")
    assert set(records[0]["verdicts"]) == {"refusal_rules", "string_jailbreakbench"}
    assert "own_pair" in format_findings(findings, remarks, options.out)
    asked = len(attacker.asked)
    findings, _ = evaluate_by_hand(attacked)
    assert findings.answered["own_pair"] == 0 and len(attacker.asked) == asked
    assert read_suite(options, "own_pair") == records
    (tmp_path / "attacker.yaml").write_text(SERVER.replace("model: m", "model: other"))
    findings, _ = evaluate_by_hand(attacked)
    assert findings.answered["own_pair"] == 3, "another attacker, other prompts"


def test_pap_asks_one_prompt_for_each_technique(options, tmp_path, attacker, monkeypatch):
    rows = [{"ss_technique": f"Way {n}", "ss_definition": "d", "ss_example": "e"} for n in range(40)]
    (tmp_path / "public/pap").mkdir(parents=True)
    (tmp_path / "public/pap/persuasion_taxonomy.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows)
    )
    (tmp_path / "attacker.yaml").write_text(
        SERVER.replace("pair: {", "pap: {techniques: [Way 1, Way 2]}, pair: {")
    )
    monkeypatch.setattr(own_attacks, "fetch_taxonomy", lambda *_: None)
    monkeypatch.setattr("harc.evaluation.own.asked.fetch_taxonomy", lambda *_: None)
    attacked = replace(
        options, attacks=("pap",), attacker_config=tmp_path / "attacker.yaml", data=tmp_path / "public"
    )
    findings, _ = evaluate_by_hand(attacked)
    records = read_suite(options, "own_pap")
    assert [r["id"] for r in records[:3]] == ["h0 pap way-1", "h0 pap way-2", "h1 pap way-1"] and len(
        records
    ) == 6
    assert records[0]["form"] == "pap:Way 1" and records[0]["messages"][0]["content"].startswith("now say")
    assert findings.answered["own_pap"] == 6


def test_an_attacker_that_writes_nothing_is_an_attempt_without_success(options, tmp_path, model):
    config = (
        f"{{endpoint: {{kind: local, model: '{model}'}}, replies: {{attempts: 1, max_new_tokens: 16}}, "
        "pair: {streams: 1}}"
    )
    (tmp_path / "attacker.yaml").write_text(config)
    findings, remarks = evaluate_by_hand(
        replace(options, attacks=("pair",), attacker_config=tmp_path / "attacker.yaml")
    )
    assert {r["finish_reason"] for r in read_suite(options, "own_pair")} == {"not_asked"}
    assert "not asked, since the attacker wrote nothing" in format_findings(findings, remarks, options.out)


def test_attacks_that_are_not_metered_are_refused_where_a_budget_stands():
    own_attacks.check_budget(["pair"], budgeted=False)
    own_attacks.check_budget(["persona"], budgeted=True)
    with pytest.raises(ConfigError, match="--attack pap: expected no budget; found one"):
        own_attacks.check_budget(["persona", "pap"], budgeted=True)


# Suppression.


@pytest.fixture
def large(options, tmp_path, monkeypatch) -> Options:
    monkeypatch.setattr(own_suppression, "LEAST", 4)
    return replace(
        options, suites=(str(write_rows(tmp_path / "own.jsonl", 14, 14)),), attacks=("suppression",)
    )


def test_directions_are_not_read_on_the_prompts_that_are_asked(large, monkeypatch):
    seen: list[tuple[set[str], list[int]]] = []
    extract, intervene = own_suppression.extract_directions, own_suppression.intervene
    removed: list[Intervention] = []

    def note(backbone, harmful, benign, *rest):
        seen.append(({*harmful, *benign}, []))
        return extract(backbone, harmful, benign, *rest)

    def enter(backbone, intervention):
        removed.append(intervention)
        return intervene(backbone, intervention)

    monkeypatch.setattr(own_suppression, "extract_directions", note)
    monkeypatch.setattr(own_suppression, "intervene", enter)
    findings, remarks = evaluate_by_hand(large)
    records = read_suite(large, "own_suppression")
    assert [r["of"] for r in records] == [f"h{n}" for n in range(14)] and findings.answered[
        "own_suppression"
    ] == 14
    for (read, _), half in zip(seen, (0, 1), strict=True):
        asked = {r["goal"] for r in records if choose_half(r) == half}
        assert asked and not asked & read
    assert all(span.shape == (1, 24) for one in removed for span in one.spans.values())
    assert sum("direction of refusal of slot" in remark for remark in remarks) == 2
    assert {len(r["prompt_sha256"]) for r in records} == {64}
    direct = {r["id"]: r["prompt_sha256"] for r in read_suite(large, "own")}
    assert all(direct[r["of"]] != r["prompt_sha256"] for r in records)


def test_the_model_is_whole_again_afterwards_and_answers_are_kept(large, monkeypatch):
    evaluate_by_hand(large)
    first = read_suite(large, "own_suppression")
    decoded: list[int] = []
    from harc.suites.target import Target

    decode = Target.decode
    monkeypatch.setattr(
        Target,
        "decode",
        lambda self, prompts, **rest: decoded.append(len(prompts)) or decode(self, prompts, **rest),
    )
    findings, _ = evaluate_by_hand(replace(large, attacks=("suppression", "prefill")))
    assert findings.answered == {"own": 0, "own_suppression": 0, "own_prefill": 14} and sum(decoded) == 14
    assert read_suite(large, "own_suppression") == first
    plain = replace(large, attacks=("prefill",), out=large.out.with_name("plain"))
    evaluate_by_hand(plain)
    assert [r["response"] for r in read_suite(plain, "own_prefill")] == [
        r["response"] for r in read_suite(large, "own_prefill")
    ]


def test_taking_out_a_direction_changes_answers_and_taking_out_none_does_not(large, monkeypatch):
    """The twin: with an empty removal the suppressed answers are the direct ones."""
    evaluate_by_hand(large)
    direct = {r["id"]: r["response"] for r in read_suite(large, "own")}
    assert any(direct[r["of"]] != r["response"] for r in read_suite(large, "own_suppression"))
    monkeypatch.setattr(own_suppression, "plan_removal", lambda *_: Intervention())
    other = replace(large, out=large.out.with_name("none"))
    evaluate_by_hand(other)
    assert all(direct[r["of"]] == r["response"] for r in read_suite(other, "own_suppression"))


def test_a_direction_that_tells_nothing_apart_is_warned_of(large, monkeypatch):
    class Flat:
        harmless = torch.zeros(2, 99, 1)

        def measure_separation(self, slot: int) -> float:
            return 0.5

    monkeypatch.setattr(own_suppression, "read_contrast", lambda *_: Flat())
    _, remarks = evaluate_by_hand(large)
    assert sum(remark.startswith("WARNING: own_suppression: direction") for remark in remarks) == 2


def test_repeated_prompts_lie_in_one_half_and_count_once(tmp_path, monkeypatch):
    monkeypatch.setattr(own_suppression, "LEAST", 1)
    rows = read_prompts(write_rows(tmp_path / "own.jsonl", 6, 6)).rows
    halves = split_rows([*rows, *(row | {"id": f"{row['id']} again"} for row in rows)])
    held = [row["goal"] for half in halves for kind in half.values() for row in kind]
    assert sorted(held) == sorted({row["goal"] for row in rows})
    with pytest.raises(DataError, match="found 0 benign ones in one half"):
        split_rows([row for row in rows if row["kind"] == "harmful"])


def test_the_command_takes_attacks(options):
    from harc.cli import app

    command = [
        "evaluate",
        "--model",
        str(options.model),
        "--suite",
        options.suites[0],
        "--out",
        str(options.out),
    ]
    done = CliRunner().invoke(
        app, [*command, "--max-new-tokens", "4", "--attack", "persona", "--attack", "prefill"]
    )
    assert done.exit_code == 0, done.output
    assert "own_persona" in done.output and "own_prefill" in done.output
