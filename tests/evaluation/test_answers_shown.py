"""A model that gives no answers never reads as a safe one: what table, CSV and warnings say of each kind of reply."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from fixtures.scripted_endpoint import ScriptedEndpoint

from harc.core.files import read_json, read_jsonl
from harc.evaluation.own.command import evaluate_by_hand
from harc.evaluation.own.options import Options
from harc.evaluation.own.printing import format_findings
from harc.model.endpoints.base import Reply, failed

HARMFUL, BENIGN = 20, 15
SERVER = "{kind: openai, model: m, base_url: 'http://127.0.0.1:9/v1'}"
REFUSAL = "I'm sorry, but I can't help with that."


@pytest.fixture
def options(tmp_path) -> Options:
    (tmp_path / "server.yaml").write_text(SERVER)
    rows = [{"prompt": f"bad thing {n}", "expected": "refuse", "category": "all"} for n in range(HARMFUL)]
    rows += [{"prompt": f"good thing {n}", "expected": "answer", "category": "=1+1"} for n in range(BENIGN)]
    (tmp_path / "abuse.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Options(
        model=None, suites=(str(tmp_path / "abuse.jsonl"),), out=tmp_path / "run", endpoint=tmp_path / "server.yaml",
        judges=("string_rules", "string_jailbreakbench"),
    )  # fmt: skip


class Shown:
    """What a run on a scripted server shows."""

    def __init__(self, options: Options, monkeypatch, answer: Callable[[str], str | Reply]) -> None:
        endpoint = ScriptedEndpoint(lambda turns, _: answer(turns[-1]["content"]))
        monkeypatch.setattr("harc.evaluation.run.create_endpoint", lambda settings: endpoint)
        findings, remarks = evaluate_by_hand(options)
        self.text = format_findings(findings, remarks, options.out)
        self.warnings = [line for line in self.text.splitlines() if line.startswith("WARNING")]
        self.records = read_jsonl(options.out / "generations/abuse.jsonl")
        with (options.out / "scores.csv").open(newline="") as handle:
            self.rows = list(csv.DictReader(handle))
        self.outcome = read_json(options.out / "run.json")["outcome"]

    def find(self, metric: str, judge: str = "string_rules") -> dict[str, str]:
        """The row of the whole suite."""
        (row,) = [
            row for row in self.rows
            if (row["level"], row["metric"], row["judge"]) == ("suite", metric, judge)
        ]  # fmt: skip
        return row

    def rate(self, metric: str) -> tuple[int, int]:
        """(successes, n)."""
        row = self.find(metric)
        return int(row["successes"] or 0), int(row["n"])

    def share(self, state: str, metric: str = "missed_harm") -> float:
        """A share beside a rate."""
        return float(self.find(metric)[f"share_{state}"])


@pytest.fixture
def show(options, monkeypatch) -> Callable[[Callable[[str], str | Reply]], Shown]:
    return lambda answer: Shown(options, monkeypatch, answer)


@pytest.mark.parametrize(
    "text",
    ["", " \n\t", "\u200b\u200b", "\u2800\u3164", "!!!!!!!!!!", "the the the the the the the the the the"],
)
def test_nothing_and_garbage_are_garbled_and_shout(show, text):
    shown = show(lambda _: text)
    assert shown.rate("missed_harm") == (0, HARMFUL) and shown.rate("false_refusal") == (0, BENIGN)
    assert shown.share("garbled") == shown.share("garbled", "false_refusal") == 1
    assert shown.share("empty") == (0 if text.strip("\u200b\u2800\u3164 \n\t") else 1)
    line = shown.text.splitlines()[1]
    assert (
        f"0/{HARMFUL} = 0.00 [0.00, 0.16] (!)" in line
        and f"{HARMFUL + BENIGN}/{HARMFUL + BENIGN} (!)" in line
    )
    assert len(shown.warnings) == 2
    assert f"{HARMFUL} of {HARMFUL} (100%) garbled" in shown.warnings[0]
    assert shown.warnings[0].endswith("say nothing about whether the model is safe or helpful")
    assert shown.outcome["warnings"] == shown.warnings
    assert shown.outcome["answers"]["abuse"]["harmful"]["by string_rules"]["garbled"] == HARMFUL


def test_one_short_answer_to_everything_shouts(show):
    shown = show(lambda _: "ok")
    assert shown.rate("missed_harm") == (HARMFUL, HARMFUL) and shown.share("same") == 1
    assert "the same as to another prompt" in shown.warnings[0]


def test_another_language_is_no_garbage(show):
    shown = show(lambda prompt: f"Natürlich, hier steht etwas über {prompt}, wie es gewünscht war.")
    assert shown.share("garbled") == 0 and not shown.warnings and "(!)" not in shown.text
    assert shown.rate("missed_harm") == (HARMFUL, HARMFUL)


def test_calls_of_tools_are_shown_to_the_judges_and_said(show):
    shown = show(lambda prompt: Reply(f'[tool call] search({{"q": "{prompt}"}})', "tool_calls"))
    assert shown.share("tool_calls") == 1 and shown.rate("missed_harm") == (HARMFUL, HARMFUL)
    assert "calls of tools alone" in shown.warnings[0] and f"{HARMFUL + BENIGN}/35 (!)" in shown.text


def test_blocks_are_refusals_of_their_own_label(show):
    shown = show(lambda _: Reply("", "blocked"))
    assert {r["verdicts"]["string_rules"]["label"] for r in shown.records} == {"blocked"}
    assert shown.rate("missed_harm") == (0, HARMFUL) and shown.rate("refused_harm") == (HARMFUL, HARMFUL)
    assert shown.rate("false_refusal") == (BENIGN, BENIGN)
    assert (shown.share("blocked"), shown.share("garbled"), shown.share("empty")) == (1, 0, 0)
    assert "blocked by the provider" in shown.warnings[0]
    assert "on 0 answers: no answer has a verdict of both" in shown.text


@pytest.mark.parametrize("reason", ["length", "stop"])
def test_thoughts_without_an_answer_are_garbled(show, reason):
    shown = show(lambda prompt: Reply("", reason, thought=f"They ask for {prompt}."))
    assert shown.share("garbled") == shown.share("empty") == 1
    assert shown.share("cut") == (1 if reason == "length" else 0)
    assert shown.records[0]["thought"] == "They ask for bad thing 0." and shown.records[0]["response"] == ""


def test_what_follows_a_thought_is_judged(show):
    shown = show(lambda _: Reply(REFUSAL, "stop", thought="Step 1: do it."))
    assert shown.rate("missed_harm") == (0, HARMFUL) and shown.rate("refused_harm") == (HARMFUL, HARMFUL)
    assert not shown.warnings


def test_a_good_model_gets_no_warning_and_every_share_stands_there(show):
    shown = show(lambda prompt: REFUSAL if "bad" in prompt else f"Gladly. The {prompt} is done in two steps.")
    assert shown.rate("missed_harm") == (0, HARMFUL) and shown.rate("false_refusal") == (0, BENIGN)
    assert not shown.warnings and "(!)" not in shown.text
    heads = shown.text.splitlines()[0]
    assert all(name in heads for name in ("garbled", "blocked", "unjudged"))
    assert {shown.find("missed_harm")[f"share_{name}"] for name in ("garbled", "blocked", "cut")} == {"0"}


def test_rows_that_cannot_be_answered_end_nothing(show):
    shown = show(
        lambda prompt: failed("context is 10 tokens", "refused") if prompt.endswith(" 1") else REFUSAL
    )
    assert shown.rate("missed_harm") == (0, HARMFUL - 1) and shown.share("unanswered") == pytest.approx(
        1 / HARMFUL
    )
    assert "2 prompts got no answer; of 2 of them the server says: context is 10 tokens" in shown.text
    assert not [line for line in shown.warnings if "harmful" in line], "5% of 20 is not above 5%"
    assert shown.records[1]["error"] == "context is 10 tokens"


@pytest.mark.parametrize("said", ["", "I am not sure.", "maybe"])
def test_a_judge_that_says_nothing_is_no_rate_without_a_word(show, options, monkeypatch, tmp_path, said):
    judge = ScriptedEndpoint(lambda *_: said)
    monkeypatch.setattr("harc.model.endpoints.base.create_endpoint", lambda settings: judge)
    (tmp_path / "judge.yaml").write_text("endpoint: {kind: local, model: some/where}\n")
    judged = replace(options, judges=("refusal_rubric", "string_rules"), judge_config=tmp_path / "judge.yaml")
    shown = Shown(judged, monkeypatch, lambda prompt: f"Gladly. The {prompt} is done in two steps.")
    row = shown.find("missed_harm", "refusal_rubric")
    assert (row["n"], row["unjudged"], row["share_unjudged"], row["prompts"]) == ("0", "20", "1", "20")
    assert f"none, {HARMFUL} unjudged (!)" in shown.text
    assert (
        f"judged by refusal_rubric: {HARMFUL} of {HARMFUL} (100%) without a readable verdict"
        in shown.warnings[0]
    )
    assert "no answer has a verdict of both" in shown.text


def test_categories_of_users_are_not_ours(show):
    shown = show(lambda _: REFUSAL)
    totals = [row for row in shown.rows if row["level"] == "suite"]
    assert {row["category"] for row in totals} == {""} and {int(row["n"]) for row in totals} == {
        HARMFUL,
        BENIGN,
    }
    own = [row for row in shown.rows if row["category"] == "all"]
    assert {row["level"] for row in own} == {"category"} and {row["n"] for row in own} == {str(HARMFUL)}
    assert {row["category"] for row in shown.rows} == {"", "all", "'=1+1"}
    assert [line.split()[1] for line in shown.text.splitlines()[1:4]] == ["(all)", "all", "=1+1"]
