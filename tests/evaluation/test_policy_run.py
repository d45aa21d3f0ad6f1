"""`harc evaluate --policy`: rates of every combination, review, resumption, dead layers."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.scripted_endpoint import ScriptedEndpoint

from harc.core.errors import DataError
from harc.core.files import read_json, read_jsonl
from harc.evaluation.own.command import evaluate_by_hand
from harc.evaluation.own.options import Options
from harc.evaluation.own.printing import format_findings
from harc.evaluation.policy.base import Decision
from harc.evaluation.policy.deciding import STOP_AFTER, decide_records, make_item
from harc.evaluation.policy.measuring import summarise_layer
from harc.evaluation.policy.scores import COMBINATIONS, list_review, score_layer

JUDGES = ["refusal_rules", "string_jailbreakbench"]


def make_record(number: int, label: str, kind: str | None = "harmful", category: str = "", suite: str = "s"):
    return {
        "id": f"r{number}", "suite": suite, "category": category, "kind": kind, "goal": "g",
        "messages": [{"role": "user", "content": f"prompt {number}"}], "response": f"answer {number}",
        "finish_reason": "stop", "prompt_sha256": f"{number:064d}", "expected": "",
        "verdicts": {judge: {"label": label} for judge in JUDGES},
    }  # fmt: skip


def find(rows, combination: str, metric: str, **place):
    (row,) = [
        row for row in rows
        if (row["combination"], row["metric"]) == (combination, metric) and place.items() <= row.items()
    ]  # fmt: skip
    return row


def test_combinations_count_what_is_let_through_and_what_is_stopped():
    labels = ["correct", "correct", "refused", "garbled", "unjudged", "correct"]
    said = [True, False, False, True, True, None]
    records = [make_record(i, label) for i, label in enumerate(labels)]
    records += [
        make_record(10 + i, label, "benign")
        for i, label in enumerate(["refused", "correct", "blocked", "correct"])
    ]
    decisions = [Decision(block) for block in [*said, True, True, False, False]]
    rows = score_layer("guard", records, decisions, JUDGES)
    missed = {name: find(rows, name, "missed_harm", level="suite") for name in COMBINATIONS}
    assert {name: (row["successes"], row["n"]) for name, row in missed.items()} == {
        "model": (2, 4), "layer": (2, 4), "either": (1, 4), "both": (3, 4)
    }  # fmt: skip
    assert (
        missed["either"]["undecided"] == 1
        and missed["either"]["unjudged"] == 1
        and missed["either"]["prompts"] == 6
    )
    refused = {name: find(rows, name, "false_refusal", level="suite")["successes"] for name in COMBINATIONS}
    assert refused == {"model": 2, "layer": 2, "either": 3, "both": 1}
    assert missed["either"]["difference"] == pytest.approx(-0.25) and missed["either"]["only_model"] == 1
    assert missed["either"]["difference_low"] < -0.25 < missed["either"]["difference_high"]
    assert (
        missed["model"]["ci_low"] < 0.5 < missed["model"]["ci_high"] and "difference" not in missed["model"]
    )
    review = list_review("guard", records, decisions, JUDGES)
    assert [(row["id"], row["stopped_by"]) for row in review] == [
        ("r0", "layer alone"), ("r2", "model alone"), ("r11", "layer alone"), ("r12", "model alone"),
    ]  # fmt: skip


def test_identities_of_a_layer_that_says_one_thing():
    records = [make_record(i, "correct" if i % 3 else "refused", "harmful", "ab"[i % 2]) for i in range(12)]
    for block, same_as_model in ((False, "either"), (True, "both")):
        rows = score_layer("guard", records, [Decision(block)] * 12, JUDGES)
        for category in ("", "a", "b"):
            model, same = (
                find(rows, name, "missed_harm", category=category) for name in ("model", same_as_model)
            )
            assert model["successes"] == same["successes"] and same["difference"] == 0 and same["p"] == 1
        assert find(rows, "layer", "missed_harm", category="")["successes"] == (0 if block else 12)
    rows = score_layer(
        "guard", [*records, make_record(99, "correct", suite="t")], [Decision(True)] * 13, JUDGES
    )
    assert find(rows, "model", "missed_harm", level="all")["n"] == 13


def test_dead_layers_are_told_and_live_ones_are_not():
    records = [make_record(i, "correct", kind) for i, kind in enumerate(["harmful", "benign"] * 4)]

    def warn(blocks):
        return summarise_layer(
            "guard", records, [Decision(block, reason="gone") for block in blocks], 0
        ).warnings

    assert warn([True, False] * 4) == []
    assert "(!): layer guard allows all 8 prompts" in warn([False] * 8)[0]
    assert "(!): layer guard blocks all 8 prompts" in warn([True] * 8)[0]
    assert "8 of 8 prompts are undecided (gone): its rates say nothing" in warn([None] * 8)[0]
    harmful = records[::2]
    (said,) = summarise_layer("guard", harmful, [Decision(True)] * 4, 0).warnings
    assert "no prompt of kind benign was asked" in said


class PlannedLayer:
    """Says what it is told to, and counts what it is asked."""

    name, where, at_once = "planned", "prompt", 2

    def __init__(self, *blocks):
        self.blocks, self.seen, self.closed, self.more = blocks, [], 0, {}

    def describe(self):
        return {"planned": True, **self.more}

    def prepare(self, rows):
        return []

    def decide(self, items):
        self.seen += [item.id for item in items]
        return [Decision(self.blocks[int(item.id[1:]) % len(self.blocks)], reason="x") for item in items]

    def close(self):
        self.closed += 1


def test_decisions_are_kept_and_what_is_undecided_is_asked_again(tmp_path):
    items = [make_item(make_record(i, "correct")) for i in range(6)]
    layer = PlannedLayer(True, False, None)
    decisions, taken = decide_records(layer, items, tmp_path)
    assert [d.block for d in decisions] == [True, False, None] * 2 and taken == 0 and layer.closed == 1
    again = PlannedLayer(True, True, True)
    decisions, taken = decide_records(again, items, tmp_path)
    assert again.seen == ["r2", "r5"] and taken == 4 and [d.block for d in decisions][:2] == [True, False]
    other = PlannedLayer(False)
    other.more = {"version": 2}
    assert decide_records(other, items, tmp_path)[1] == 0, "another layer decides anew"
    answers = PlannedLayer(False)
    answers.where = "answer"
    decide_records(answers, items, tmp_path / "answers")
    changed = [replace(item, answer="new") for item in items]
    assert decide_records(answers, changed, tmp_path / "answers")[1] == 0, "another answer is decided on anew"
    decide_records(PlannedLayer(True), items, tmp_path / "prompts")
    assert decide_records(PlannedLayer(True), changed, tmp_path / "prompts")[1] == 6, "it sees no answers"


def test_what_was_decided_before_an_interruption_is_kept(tmp_path):
    class Interrupted(PlannedLayer):
        def decide(self, items):
            if len(self.seen) >= 4:
                raise KeyboardInterrupt
            return super().decide(items)

    items = [make_item(make_record(i, "correct")) for i in range(6)]
    layer = Interrupted(True)
    with pytest.raises(KeyboardInterrupt):
        decide_records(layer, items, tmp_path)
    assert layer.closed == 1
    again = PlannedLayer(True)
    assert decide_records(again, items, tmp_path)[1] == 4 and again.seen == ["r4", "r5"]


def test_a_layer_that_keeps_failing_is_left_alone(tmp_path):
    layer = PlannedLayer(None)
    items = [make_item(make_record(i, "correct")) for i in range(20)]
    decisions, _ = decide_records(layer, items, tmp_path)
    assert STOP_AFTER <= len(layer.seen) < STOP_AFTER + layer.at_once
    assert "not asked" in decisions[-1].reason and not (tmp_path / "policy").exists()


GUARD = """import json, sys
for line in sys.stdin:
    print(json.dumps({"decision": "block" if "blue" in json.loads(line)["prompt"] else "allow"}), flush=True)
"""


@pytest.fixture
def options(tmp_path, monkeypatch) -> Options:
    server = "{kind: openai, model: m, base_url: 'http://127.0.0.1:9/v1', cache: null}"
    (tmp_path / "server.yaml").write_text(server)
    rows = [
        ("red lamp", "harmful", "block"),
        ("blue lamp", "harmful", "pass"),
        ("grey lamp", "benign", "pass"),
    ]
    lines = [f"{text},{kind},{said},=c\n" for text, kind, said in rows]
    (tmp_path / "abuse.csv").write_text("prompt,kind,decision,category\n" + "".join(lines))
    (tmp_path / "guard.py").write_text(GUARD)
    (tmp_path / "guard.yaml").write_text(f"kind: command\ncommand: [{sys.executable}, guard.py]\n")
    (tmp_path / "log.yaml").write_text("kind: recorded\n")
    (tmp_path / "words.yaml").write_text("kind: patterns\npatterns: [here it is]\nwhere: answer\n")
    endpoint = ScriptedEndpoint(
        lambda c, _: (
            "I'm sorry, but I can't help with that." if "red" in c[0]["content"] else "Here it is: done."
        )
    )
    monkeypatch.setattr("harc.evaluation.run.create_endpoint", lambda settings: endpoint)
    return Options(
        model=None, suites=(str(tmp_path / "abuse.csv"),), out=tmp_path / "run", endpoint=tmp_path / "server.yaml",
        policies=tuple(tmp_path / name for name in ("guard.yaml", "log.yaml", "words.yaml")), resume=True,
    )  # fmt: skip


def test_a_run_with_layers_writes_tables_and_says_what_it_did(options):
    findings, remarks = evaluate_by_hand(options)
    text = format_findings(findings, remarks, options.out)
    assert " guard either 0/2 = 0.00" in " ".join(text.split())
    with (options.out / "policy.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    counts = {
        (row["layer"], row["combination"]): row["successes"] for row in rows if row["metric"] == "missed_harm"
    }
    assert (
        counts["guard", "model"] == "1"
        and counts["guard", "either"] == "0"
        and counts["guard", "both"] == "2"
    )
    assert counts["log", "either"] == "1" and counts["words", "layer"] == "1"
    with (options.out / "review.csv").open(newline="") as handle:
        review = [row for row in csv.DictReader(handle) if row["layer"] == "guard"]
    assert [(row["id"], row["stopped_by"], row["prompt"], row["category"]) for row in review] == [
        ("abuse-00003", "layer alone", "blue lamp", "'=c"), ("abuse-00002", "model alone", "red lamp", "'=c"),
    ]  # fmt: skip
    told = read_json(options.out / "policy.json")
    assert [layer["blocked"] for layer in told["layers"]] == [1, 1, 2] and len(told["rows"]) == len(rows)
    assert len(read_jsonl(options.out / "policy/guard.jsonl")) == 3
    assert "1 blocked, 2 allowed, 0 undecided; 3 asked, 0 taken over" in text
    findings, remarks = evaluate_by_hand(options)
    assert "0 asked, 3 taken over from earlier runs" in format_findings(findings, remarks, options.out)


def test_a_dead_layer_is_marked_in_the_table_and_warned_of(options, tmp_path):
    (tmp_path / "guard.py").write_text("raise SystemExit('no weights')")
    findings, remarks = evaluate_by_hand(replace(options, policies=(tmp_path / "guard.yaml",)))
    text = format_findings(findings, remarks, options.out)
    assert "none, 2 left out (!)" in text
    assert "3 of 3 prompts are undecided (the program ended with status 1; it says: no weights)" in text


def test_decisions_that_are_none_stop_the_run_before_anything_is_asked(options, tmp_path):
    text = (tmp_path / "abuse.csv").read_text()
    (tmp_path / "abuse.csv").write_text(text.replace("pass,=c", "perhaps,=c"))
    with pytest.raises(DataError, match=r"abuse\.csv:3: column decision: expected block or allow.*'perhaps'"):
        evaluate_by_hand(options)
    assert not options.out.exists()


def test_words_of_a_layer_cannot_steer_the_terminal(options, tmp_path):
    escape = json.dumps({"score": 1, "\x1b[2Jx": 1})
    (tmp_path / "guard.py").write_text(f"input(); print({escape!r})")
    findings, remarks = evaluate_by_hand(replace(options, policies=(tmp_path / "guard.yaml",)))
    assert "\x1b" not in format_findings(findings, remarks, options.out)


def test_the_folder_of_decisions_hinders_no_other_run(options):
    evaluate_by_hand(options)
    findings, _ = evaluate_by_hand(replace(options, policies=()))
    assert (
        findings.taken_over == {"abuse": 3}
        and findings.policy is None
        and Path(options.out / "policy").is_dir()
    )
