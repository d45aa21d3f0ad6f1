"""`harc judges calibrate --labels`, and the warning of a run whose judges disagree."""

import csv
import json
import math

import pytest

import harc.cli
from harc.cli.running import run_command
from harc.core.errors import ConfigError, DataError
from harc.evaluation.own import labels as own
from harc.evaluation.own.scores import EVERY, LEAST_KAPPA, list_disagreements, measure_agreement
from harc.judges.base import Verdict

REFUSAL, ANSWER = "I'm sorry, but I can't help with that.", "Sure. Take the lamp and turn it."


@pytest.fixture
def labels(tmp_path):
    rows = [
        ("refused", REFUSAL, "a"),
        ("Complied", ANSWER, "b"),
        ("refusal", REFUSAL, "b"),
        ("answered", ANSWER, "a"),
    ] * 10
    rows += [("unsure", ANSWER, "a"), ("", ANSWER, "a")]
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows(
            [
                ("Prompt", "response", "LABEL", "category"),
                *[(f"p{i}", a, w, c) for i, (w, a, c) in enumerate(rows)],
            ]
        )
    return path


class PlannedJudge:
    """Gives the label that stands in the request's place."""

    version = "planned-1"

    def __init__(self, name, labels):
        self.name, self.labels = name, labels

    def judge(self, answers):
        return [Verdict(self.labels[int(answer.request[1:]) % len(self.labels)], 1) for answer in answers]


def test_judges_that_are_right_wrong_and_silent_are_told_apart(labels):
    records, remarks = own.read_labels(labels, None)
    assert (
        remarks == []
        and "20 refused, 20 answered, 1 unsure, 1 without one" in own.describe_labels(records, [])[0]
    )
    right, wrong = ("refused", "correct") * 2, ("correct", "refused") * 2
    judges = [
        PlannedJudge("refusal_rules", right),
        PlannedJudge("string_pair", wrong),
        PlannedJudge("string_zhao", ("unjudged", "correct", "refused", "unjudged")),
    ]
    agreement, confusion, warnings = own.compare_judges(records, judges)
    rows = {(row["category"], row["judge"]): row for row in agreement if row["labels"] == "refused or not"}
    assert {category for category, _ in rows} == {EVERY, "a", "b"}
    assert rows[EVERY, "refusal_rules"]["kappa"] == 1 and rows[EVERY, "string_pair"]["kappa"] == -1
    assert rows[EVERY, "refusal_rules"]["n"] == 40 and rows[EVERY, "refusal_rules"]["unsure"] == 1
    assert rows["a", "refusal_rules"]["n"] == 20 and rows[EVERY, "string_zhao"]["unjudged"] == 20
    counts = {
        (row["judge"], row["reader"], row["judged"]): row["n"]
        for row in confusion
        if row["category"] == EVERY
    }
    assert (
        counts["string_pair", "refused", "answered"] == 20
        and counts["string_zhao", "refused", "unjudged"] == 10
    )
    assert len(warnings) == 2 and all("string_pair" in line and "kappa -1.00" in line for line in warnings)
    said = "\n".join(own.choose_by_labels(agreement))
    assert "for refusals take refusal_rules: kappa 1.00" in said
    text = own.format_comparison(agreement, confusion)
    assert "string_pair" in text and "unjudged 10" in text
    silent = [row for row in agreement if row["judge"] != "refusal_rules"]
    said = "\n".join(own.choose_by_labels(silent))
    assert (
        "string_zhao leaves 20 of 40 unjudged" in said
        and "of those that judge nearly all take string_pair" in said
    )


def test_no_good_judge_and_few_labels_are_warned_of(labels):
    records, _ = own.read_labels(labels, None)
    agreement, _, _ = own.compare_judges(
        records[:8], [PlannedJudge("refusal_rules", ("refused", "refused", "correct", "correct"))]
    )
    said = own.choose_by_labels(agreement)
    assert any("no judge agrees well" in line for line in said) and any(
        "8 labels are too few" in line for line in said
    )
    agreement, _, _ = own.compare_judges(
        [r for r in records if r["reader"] == "refused"], [PlannedJudge("refusal_rules", ("refused",))]
    )
    assert math.isnan(agreement[0]["kappa"])
    assert "no judge can be chosen: label answers of both kinds" in own.choose_by_labels(agreement)[0]


@pytest.mark.parametrize(
    ("table", "error", "said"),
    [
        ("prompt,answer\na,b\n", DataError, "expected the columns label, each once; found no label"),
        (
            "prompt,answer,label\na,b,harmful\n",
            DataError,
            r"mine\.csv:2: column label: expected refused, .*found 'harmful'",
        ),
        (
            "prompt,answer,label\na,b,unsure\n",
            DataError,
            "expected labels: refused, answered, broken; found none",
        ),
        ("id,label\na,refused\n", ConfigError, r"or the column id and a folder of .harc evaluate. \(--run\)"),
    ],
)
def test_a_faulty_file_of_labels_is_one_line(tmp_path, table, error, said):
    (tmp_path / "mine.csv").write_text(table)
    with pytest.raises(error, match=said):
        own.read_labels(tmp_path / "mine.csv", None)


def write_run(folder, suite="s", verdicts=None):
    (folder / "generations").mkdir(parents=True, exist_ok=True)
    records = [
        {
            "id": f"r{i}", "suite": suite, "category": "", "kind": "harmful", "goal": f"p{i}", "expected": "",
            "messages": [{"role": "user", "content": f"p{i}"}], "response": (REFUSAL, ANSWER)[i % 2],
            "finish_reason": "stop", "prompt_sha256": "0", "verdicts": verdicts or {},
        }
        for i in range(4)
    ]  # fmt: skip
    (folder / "generations" / f"{suite}.jsonl").write_text(
        "".join(json.dumps(record) + "\n" for record in records)
    )


def test_ids_name_answers_of_a_run(tmp_path):
    write_run(tmp_path / "run", verdicts={"string_xstest": {"label": "refused", "score": 1, "version": "x"}})
    path = tmp_path / "mine.csv"
    path.write_text("id,label\nr0,refused\nr1,answered\nr7,refused\n")
    records, remarks = own.read_labels(path, tmp_path / "run")
    assert [record["reader"] for record in records] == [
        "refused",
        "answered",
    ] and "1 ids are of no answer" in remarks[0]
    judges, _ = own.gather_judges(["refusal_rules"], None, tmp_path, None)
    agreement, _, _ = own.compare_judges(records, judges)
    assert {row["judge"] for row in agreement} == {"refusal_rules", "string_xstest"}
    write_run(tmp_path / "run", "t")
    with pytest.raises(DataError, match="'r0' in several suites; add a column suite"):
        own.read_labels(path, tmp_path / "run")
    path.write_text("id,suite,label\nr0,t,refused\nr0,s,refused\n")
    assert len(own.read_labels(path, tmp_path / "run")[0]) == 2
    path.write_text("id,suite,label\nr0,t,refused\nr0,t,refused\n")
    with pytest.raises(DataError, match="'r0' twice"):
        own.read_labels(path, tmp_path / "run")
    with pytest.raises(ConfigError, match="no generations in it"):
        own.read_labels(path, tmp_path / "none")


def test_judges_that_are_not_at_hand_are_left_out_and_said(tmp_path):
    judges, remarks = own.gather_judges([], None, tmp_path / "data", tmp_path / "no-mirror")
    names = [judge.name for judge in judges]
    assert "refusal_rules" in names and "refusal_rubric" not in names and "exact" not in names
    assert ("refusal_classifier" in names) != any(
        "left out: refusal_classifier" in remark for remark in remarks
    )
    with pytest.raises(ConfigError, match="found refusal_ruls"):
        own.gather_judges(["refusal_ruls"], None, tmp_path, None)


def test_the_command_prints_and_writes_where_it_is_told(labels, tmp_path, capsys):
    words = [
        "judges",
        "calibrate",
        "--labels",
        str(labels),
        "--judge",
        "refusal_rules",
        "--judge",
        "string_pair",
    ]
    assert run_command(harc.cli.app, words) == 0
    assert "for refusals take" in capsys.readouterr().out and not (tmp_path / "out").exists()
    assert run_command(harc.cli.app, [*words, "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["agreement.csv", "confusion.csv"]
    assert run_command(harc.cli.app, ["judges", "calibrate", "--run", str(tmp_path)]) == 1
    assert "name the file with your labels" in capsys.readouterr().err


def make_pairs(*pairs):
    return [{"verdicts": {"refusal_rules": {"label": a}, "string_pair": {"label": b}}} for a, b in pairs]


def test_two_judges_are_warned_of_exactly_where_kappa_is_low():
    names = ["refusal_rules", "string_pair"]
    alike = [("refused", "refused"), ("correct", "correct")] * 5
    assert list_disagreements(measure_agreement(make_pairs(*alike), names)) == []
    assert list_disagreements(measure_agreement(make_pairs(("correct", "correct")), names)) == [], (
        "not defined"
    )
    odd = [*alike, ("refused", "correct"), ("correct", "refused"), ("refused", "correct")]
    (said,) = list_disagreements(measure_agreement(make_pairs(*odd), names), ": look")
    assert f"below {LEAST_KAPPA}, on n 13 answers, 10 of them judged alike: look" in said and "(!)" in said
