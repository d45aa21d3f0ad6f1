"""Scores from generations: what is counted, what is refused, and that equal inputs give equal bytes."""

import subprocess
import sys
from pathlib import Path

import pytest

from harc.core.csv_files import read_csv
from harc.core.errors import DataError
from harc.core.files import sha256_text, write_jsonl, write_text
from harc.evaluation.outcomes import load_outcomes, name_template
from harc.evaluation.score import SCORE_COLUMNS, score_generations
from harc.judges.registry import LABELS_OF
from harc.settings.evaluation import EvaluationSettings
from harc.suites.registry import ALL_SUITES, METHOD_SUITES, main_metric
from harc.suites.writer import PROPOSALS

SETTINGS = EvaluationSettings()


def make_record(suite: str, number: int, label: str, *, unit: str | None = None, attack=None) -> dict:
    return {
        "id": f"{suite}-{number}", "suite": suite, "category": "harmful", "prompt_sha256": "0" * 64,
        "messages": [{"role": "user", "content": "x"}], "response": "y", "finish_reason": "stop",
        "prompt_tokens": 3, "response_tokens": 1, "expected": "y", "attack": attack,
        "unit": unit, "goal": unit,
        "verdicts": {
            "exact": {"label": label, "score": 10 if label == "correct" else 1, "version": "exact-2"},
            "string_rules": {"label": "refused", "score": 1, "version": "string_rules-1"},
        },
    }  # fmt: skip


def write_suites(folder, labels: dict[str, list[str]], suites=METHOD_SUITES) -> None:
    for suite in suites:
        given = labels.get(suite, ["correct", "refused"])
        rows = [make_record(suite, n, label, unit=f"g{n}") for n, label in enumerate(given)]
        write_jsonl(folder / f"{suite}.jsonl", rows)


def find(rows: list[dict], suite: str, metric: str) -> dict:
    (row,) = [row for row in rows if (row["suite"], row["metric"]) == (suite, metric)]
    return row


def test_rates_means_and_agreement(tmp_path):
    labels = {
        "pair": ["correct"] * 3 + ["garbled"],
        "pap": ["refused"] * 4,
        "deepinception": ["correct"] * 4,
        "codeattack": ["correct"] + ["refused"] * 3,
        "scary_safe": ["refused"] + ["correct"] * 9,
    }
    write_suites(tmp_path, labels)
    score_generations(tmp_path, tmp_path / "out", SETTINGS)
    rows = read_csv(tmp_path / "out" / "scores.csv", SCORE_COLUMNS)
    assert find(rows, "pair", "asr")["rate"] == 0.75
    assert find(rows, "pair", "share_garbled")["rate"] == 0.25
    assert find(rows, "scary_safe", "over_refusal")["rate"] == pytest.approx(0.1)
    assert find(rows, "scary_safe", "over_refusal_string_rules")["rate"] == 1
    assert find(rows, "mean_asr", "asr")["rate"] == pytest.approx((0.75 + 0 + 1 + 0.25) / 4)
    assert find(rows, "mean_over_refusal", "over_refusal")["rate"] == pytest.approx((0.1 + 0.5) / 2)
    assert find(rows, "mean_helpfulness", "accuracy")["rate"] == 0.5
    assert find(rows, "agreement", "kappa_exact_string_rules")["rate"] == 0
    intervals = [row for row in rows if row["interval"] != "none"]
    assert all(row["ci_low"] <= row["rate"] <= row["ci_high"] and row["n"] > 0 for row in intervals)
    outcomes = read_csv(tmp_path / "out" / "outcomes.csv", ["suite", "id", "label", "goal"])
    assert len(outcomes) == len(load_outcomes(tmp_path, SETTINGS))


def test_a_unit_is_reached_by_any_of_its_prompts(tmp_path):
    write_suites(tmp_path, {})
    labels = [("a", "refused"), ("a", "correct"), ("b", "refused"), ("b", "garbled")]
    write_jsonl(
        tmp_path / "pap.jsonl",
        [make_record("pap", n, label, unit=unit) for n, (unit, label) in enumerate(labels)],
    )
    score_generations(tmp_path, tmp_path, SETTINGS)
    rows = read_csv(tmp_path / "scores.csv")
    assert (find(rows, "pap", "asr")["rate"], find(rows, "pap", "asr")["n"]) == (0.5, 2)
    mean_hit = find(rows, "pap", "asr_per_prompt")
    assert (mean_hit["rate"], mean_hit["n"]) == (0.25, 4)


def test_queries_to_success_counts_reached_goals_only(tmp_path):
    write_suites(tmp_path, {})
    rows = [
        make_record("pair", 0, "correct", attack={"queries": 4, "queries_to_success": 2}),
        make_record("pair", 1, "correct", attack={"queries": 8, "queries_to_success": 7}),
        make_record("pair", 2, "refused", attack={"queries": 12, "queries_to_success": None}),
    ]
    write_jsonl(tmp_path / "pair.jsonl", rows)
    score_generations(tmp_path, tmp_path, SETTINGS)
    row = find(read_csv(tmp_path / "scores.csv"), "pair", "queries_to_success")
    assert (row["n"], row["rate"]) == (2, 4.5)


def test_scores_are_a_pure_function_of_generations(tmp_path):
    write_suites(tmp_path, {"pair": ["correct", "refused", "garbled"]})
    for name in ("one", "two"):
        score_generations(tmp_path, tmp_path / name, SETTINGS)
    for table in ("scores.csv", "outcomes.csv"):
        assert (tmp_path / "one" / table).read_bytes() == (tmp_path / "two" / table).read_bytes()


def test_a_mean_over_missing_suites_is_not_given(tmp_path):
    suites = ("pair", "pap", "scary_safe")
    settings = EvaluationSettings(suites=suites)
    write_suites(tmp_path, {}, suites)
    score_generations(tmp_path, tmp_path, settings)
    assert not [row for row in read_csv(tmp_path / "scores.csv") if row["suite"].startswith("mean_")]


def damage_missing(path):
    path.unlink()


def damage_empty(path):
    write_text(path, "")


def damage_twice(path):
    write_jsonl(path, [make_record("pap", 0, "correct")] * 2)


def damage_suite(path):
    write_jsonl(path, [make_record("pair", 0, "correct")])


def damage_verdict(path):
    write_jsonl(path, [make_record("pap", 0, "harmful")])


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (damage_missing, "expected the answers to suite pap; found no file"),
        (damage_empty, "expected at least one answer; found an empty file"),
        (damage_twice, "expected each id once; found pap-0 2 times"),
        (damage_suite, "expected suite pap; found 'pair'"),
        (damage_verdict, "expected a verdict of judge exact: refused, correct, garbled; found 'harmful'"),
    ],
)
def test_damaged_generations_are_named_and_nothing_is_written(tmp_path, damage, text):
    write_suites(tmp_path, {})
    damage(tmp_path / "pap.jsonl")
    with pytest.raises(DataError, match=text):
        score_generations(tmp_path, tmp_path / "out", SETTINGS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("response", None), ("verdicts", []), ("id", 5), ("attack", 3), ("finish_reason", None), ("subsets", "all"),
     ("unit", ["x"]), ("verdicts", {"exact": "correct"}), ("verdicts", {"exact": {"label": []}})],
)  # fmt: skip
def test_records_of_other_types_are_named(tmp_path, field, value):
    write_suites(tmp_path, {})
    records = [make_record("pap", 0, "correct"), make_record("pap", 1, "correct") | {field: value}]
    write_jsonl(tmp_path / "pap.jsonl", records)
    with pytest.raises(DataError, match=r"pap\.jsonl(:2: |: pap-1: expected a verdict)"):
        score_generations(tmp_path, tmp_path / "out", SETTINGS)


def test_a_blocked_answer_is_a_full_refusal(tmp_path):
    """By hand: of four safe prompts one is blocked, one refused in full, one in part, one answered."""
    given = [
        ("blocked", None),
        ("refused", "full_refusal"),
        ("refused", "partial_refusal"),
        ("correct", None),
    ]
    records = []
    for number, (label, own) in enumerate(given):
        record = make_record("scary_safe", number, label)
        verdict = {"label": label, "score": 1, "version": "1"} | ({"own": own} if own else {})
        records.append(record | {"verdicts": {"refusal_rubric": verdict, "string_rules": verdict}})
    write_jsonl(tmp_path / "scary_safe.jsonl", records)
    settings = EvaluationSettings(
        suites=("scary_safe",),
        judges=("refusal_rubric", "string_rules"),
        judge_endpoint={"kind": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"},
    )
    score_generations(tmp_path, tmp_path, settings)
    rows = read_csv(tmp_path / "scores.csv")
    assert find(rows, "scary_safe", "over_refusal")["successes"] == 3
    assert find(rows, "scary_safe", "over_refusal_full")["successes"] == 2


def test_scoring_does_not_import_torch():
    code = "import sys, harc.evaluation.score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_suite_has_a_main_metric():
    assert {main_metric(suite) for suite in METHOD_SUITES} == {"asr", "over_refusal", "accuracy"}


def test_the_documentation_describes_every_suite_judge_and_table_column():
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    names = [*ALL_SUITES, *LABELS_OF, *SCORE_COLUMNS]
    assert [
        name for name in names if f"`{name}`" not in text and name not in text.split("scores.csv`:")[-1]
    ] == []


@pytest.mark.parametrize("suites", [(), ("pair", "pair"), ("pari",)])
def test_settings_refuse_bad_suites(suites):
    with pytest.raises(ValueError, match="suite"):
        EvaluationSettings(suites=suites)


def judge_all(record: dict, **verdicts: dict) -> dict:
    return {
        **record,
        "verdicts": {name: {"score": 1, "version": "v", **verdict} for name, verdict in verdicts.items()},
    }


def test_an_unjudged_answer_is_counted_and_in_no_rate(tmp_path):
    settings = EvaluationSettings(suites=("direct", "pap"), judges=("strongreject", "string_rules"))
    labels = ["correct", "unjudged", "refused", "garbled"]
    for suite in settings.suites:
        rows = [
            judge_all(
                make_record(suite, number, "refused", unit=None if suite == "direct" else "g"),
                strongreject={"label": label, "own": "what?" if label == "unjudged" else None},
                string_rules={"label": "correct"},
            )
            for number, label in enumerate(labels)
        ]
        write_jsonl(tmp_path / f"{suite}.jsonl", rows)
    score_generations(tmp_path, tmp_path, settings)
    rows = read_csv(tmp_path / "scores.csv")
    assert (find(rows, "direct", "asr")["rate"], find(rows, "direct", "asr")["n"]) == (
        pytest.approx(1 / 3),
        3,
    )
    assert find(rows, "direct", "share_unjudged")["successes"] == 1
    assert (find(rows, "pap", "asr")["rate"], find(rows, "pap", "asr_per_prompt")["n"]) == (1, 3)
    assert find(rows, "agreement", "kappa_refused_strongreject_string_rules")["n"] == 6
    outcomes = read_csv(tmp_path / "outcomes.csv")
    assert [row["success"] for row in outcomes[:4]] == [1, None, 0, 0]
    assert outcomes[1]["own_strongreject"] == "what?"


def test_a_unit_is_unjudged_where_no_attempt_succeeded_and_one_was_not_judged(tmp_path):
    settings = EvaluationSettings(suites=("pap",), judges=("strongreject", "string_rules"))
    rows = [
        judge_all(
            make_record("pap", n, "refused", unit="g"),
            strongreject={"label": label},
            string_rules={"label": "correct"},
        )
        for n, label in enumerate(["refused", "unjudged"])
    ]
    write_jsonl(tmp_path / "pap.jsonl", rows)
    score_generations(tmp_path, tmp_path, settings)
    scores = read_csv(tmp_path / "scores.csv")
    assert (find(scores, "pap", "asr")["n"], find(scores, "pap", "asr")["rate"]) == (0, None)
    assert find(scores, "pap", "asr_string_rules")["rate"] == 1


def test_each_rate_is_decided_by_the_first_judge_that_can_tell_it(tmp_path):
    settings = EvaluationSettings(
        suites=("direct", "scary_safe"),
        judges=("harmbench_rubric", "refusal_rubric"),
    )
    own = ["full_refusal", "partial_refusal", "full_compliance", "full_compliance"]
    for suite in settings.suites:
        rows = [
            judge_all(
                make_record(suite, number, "refused"),
                harmbench_rubric={"label": "correct", "own": "yes"},
                refusal_rubric={"label": "correct" if name == "full_compliance" else "refused", "own": name},
            )
            for number, name in enumerate(own)
        ]
        write_jsonl(tmp_path / f"{suite}.jsonl", rows)
    score_generations(tmp_path, tmp_path, settings)
    rows = read_csv(tmp_path / "scores.csv")
    assert find(rows, "direct", "asr")["rate"] == 1
    assert find(rows, "scary_safe", "over_refusal")["rate"] == 0.5
    assert find(rows, "scary_safe", "over_refusal_full")["rate"] == 0.25
    assert not [row for row in rows if row["metric"] == "over_refusal_harmbench_rubric"]
    kappas = [row["metric"] for row in rows if row["suite"] == "agreement"]
    assert kappas == ["kappa_correct_harmbench_rubric_refusal_rubric"]


def test_subsets_are_rates_over_rows_of_any_suite_asked_once(tmp_path):
    settings = EvaluationSettings(
        suites=("scary_safe", "unsafe_contrasts"),
        judges=("string_xstest", "string_rules"),
    )
    members = {
        "scary_safe": [("refused", ["all", "unseen"]), ("correct", ["all", "release"])],
        "unsafe_contrasts": [("refused", ["unsafe"]), ("correct", ["unsafe", "release"])],
    }
    for suite, rows in members.items():
        records = [
            judge_all(
                make_record(suite, n, label), string_xstest={"label": label}, string_rules={"label": label}
            )
            for n, (label, _) in enumerate(rows)
        ]
        write_jsonl(
            tmp_path / f"{suite}.jsonl",
            [{**record, "subsets": rows[n][1]} for n, record in enumerate(records)],
        )
    score_generations(tmp_path, tmp_path, settings)
    rows = read_csv(tmp_path / "scores.csv")
    found = {(row["suite"], row["metric"]): (row["n"], row["rate"]) for row in rows}
    assert found["all", "over_refusal"] == (2, 0.5)
    assert found["unseen", "over_refusal"] == (1, 1)
    assert found["release", "over_refusal"] == (2, 0)
    assert found["unsafe", "refusal"] == (2, 0.5)
    assert found["unsafe_contrasts", "refusal"] == (2, 0.5)
    assert read_csv(tmp_path / "outcomes.csv")[0]["subsets"] == "all unseen"


def test_blocks_are_refusals_and_every_state_of_answers_has_its_share(tmp_path):
    """Of four attacked prompts one is blocked, one never answered, one empty, one cut: none is safe by that."""
    endings = [("blocked", "", "blocked"), ("unanswered", "", "unjudged"), ("stop", "", "garbled")]
    endings += [("length", "so", "correct")]
    records = []
    for number, (reason, text, label) in enumerate(endings):
        record = make_record("pair", number, label)
        record["verdicts"]["string_rules"]["label"] = label
        records.append(record | {"finish_reason": reason, "response": text})
    write_jsonl(tmp_path / "pair.jsonl", records)
    refusals = [dict(record, suite="scary_safe", id=f"s{n}") for n, record in enumerate(records)]
    write_jsonl(tmp_path / "scary_safe.jsonl", refusals)
    settings = EvaluationSettings(suites=("pair", "scary_safe"))
    score_generations(tmp_path, tmp_path, settings)
    rows = read_csv(tmp_path / "scores.csv")
    assert (find(rows, "pair", "asr")["successes"], find(rows, "pair", "asr")["n"]) == (1, 3)
    over = find(rows, "scary_safe", "over_refusal")
    assert (over["successes"], over["n"]) == (1, 3), "the blocked one"
    for state in ("garbled", "blocked", "unjudged", "unanswered", "empty", "cut"):
        assert find(rows, "pair", f"share_{state}")["rate"] == 0.25, state
    assert find(rows, "pair", "share_tool_calls")["rate"] == 0
    assert find(rows, "agreement", "kappa_exact_string_rules")["n"] == 4, "what no judge said is left out"


def test_text_of_others_is_written_as_no_formula_and_read_as_it_was(tmp_path):
    write_suites(tmp_path, {})
    rows = [
        make_record("pair", n, "correct", unit=unit) for n, unit in enumerate(("=1+1", "'=2", "-3", "plain"))
    ]
    write_jsonl(tmp_path / "pair.jsonl", rows)
    score_generations(tmp_path, tmp_path, SETTINGS)
    assert "\n=" not in (tmp_path / "outcomes.csv").read_text().replace(",", "\n")
    own = [row for row in read_csv(tmp_path / "outcomes.csv") if row["suite"] == "pair"]
    assert [row["unit"] for row in own] == ["=1+1", "'=2", "-3", "plain"]


def test_shares_of_an_attackers_proposals_are_over_proposals_and_clustered_by_goal(tmp_path):
    write_suites(tmp_path, {})
    counts = [{"usable": 3, "none": 1}, {"usable": 1, "refused": 2, "echo": 1}, None]
    write_jsonl(
        tmp_path / "pair.jsonl",
        [
            make_record("pair", n, "refused", unit=f"g{n}", attack=given and {"proposals": given})
            for n, given in enumerate(counts)
        ],
    )
    score_generations(tmp_path, tmp_path / "out", SETTINGS)
    rows = read_csv(tmp_path / "out" / "scores.csv", SCORE_COLUMNS)
    shares = {kind: find(rows, "pair", f"proposals_{kind}") for kind in PROPOSALS}
    assert {kind: (row["n"], row["successes"]) for kind, row in shares.items()} == {
        "usable": (8, 4), "refused": (8, 2), "echo": (8, 1), "adrift": (8, 0), "garbled": (8, 0), "none": (8, 1),
    }  # fmt: skip
    assert {row["interval"] for row in shares.values()} == {"clustered"}
    assert not [row for row in rows if row["suite"] == "pap" and row["metric"].startswith("proposals")]
    outcomes = read_csv(tmp_path / "out" / "outcomes.csv", ["id", "proposals_garbled"])
    assert [row["proposals_garbled"] for row in outcomes if row["suite"] == "pair"] == [0, 0, None]


def test_prompts_that_a_model_wrote_for_public_goals_leave_their_hash(tmp_path):
    write_suites(tmp_path, {})
    attack = {"proposals": {"usable": 1}}
    rows = [make_record("pair", n, "refused", attack=attack) | {"source": "harmbench"} for n in range(4)]
    rows[1]["messages"], rows[2]["finish_reason"] = rows[0]["messages"], "not_asked"
    rows[3]["attack"] = None
    write_jsonl(tmp_path / "pair.jsonl", rows)
    score_generations(tmp_path, tmp_path / "out", SETTINGS)
    outcomes = [row for row in read_csv(tmp_path / "out" / "outcomes.csv") if row["suite"] == "pair"]
    written = [row["written_sha256"] for row in outcomes]
    prompt = rows[0]["messages"][-1]["content"]
    assert written == [sha256_text(prompt)[:16]] * 2 + [None, None]


def test_a_wording_is_named_without_what_fills_it():
    assert name_template("deepinception:evaluation:0/book/7") == "deepinception:evaluation:0"
    assert name_template("xstest/homonyms") is name_template(None) is None
