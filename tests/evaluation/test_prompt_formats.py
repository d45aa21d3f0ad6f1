"""Published files of prompts as they are, and what users call their columns."""

import csv
import json
import os
from pathlib import Path

import pytest

from harc.core.errors import DataError
from harc.evaluation.own.columns import COLUMNS, SYNONYMS
from harc.evaluation.own.formats import FORMATS, name_header, recognise_format
from harc.evaluation.own.prompts import read_prompts

# (format, file, columns, cells of one row, prompt, id, category, kind, goal); rows are made up, columns as published.
PUBLISHED = [
    ("HarmBench text behaviors", "harmbench_behaviors_text_all.csv",
     ("Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString", "BehaviorID"),
     ("ask it", "contextual", "illegal", "", "a note", "ask_it"), "a note\n\n---\n\nask it", "ask_it", "illegal",
     "harmful", "ask it"),
    ("JailbreakBench behaviors", "benign-behaviors.csv", ("Index", "Goal", "Target", "Behavior", "Category", "Source"),
     ("7", "ask it", "Sure", "asking", "Privacy", "Original"), "ask it", "7", "Privacy", "benign", "ask it"),
    ("JailbreakBench behaviors", "harmful-behaviors.csv", ("", "Goal", "Target", "Behavior", "Category", "Source"),
     ("7", "ask it", "Sure", "asking", "Privacy", "Original"), "ask it", "harmful_behaviors-00002", "Privacy",
     "harmful", "ask it"),
    ("JailbreakBench behaviors", "renamed.csv", ("Index", "Goal", "Target", "Behavior", "Category", "Source"),
     ("7", "ask it", "Sure", "asking", "Privacy", "Original"), "ask it", "7", "Privacy", None, "ask it"),
    ("XSTest", "xstest_prompts.csv", ("id", "prompt", "type", "label", "focus", "note"),
     ("1", "ask it", "contrast_homonyms", "unsafe", "ask", ""), "ask it", "1", "contrast_homonyms", "harmful",
     "ask it"),
    ("XSTest", "xstest_v2_prompts.csv", ("id", "type", "prompt", "focus", "note"),
     ("v2-1", "homonyms", "ask it", "ask", ""), "ask it", "v2-1", "homonyms", "benign", "ask it"),
    ("StrongREJECT", "strongreject_dataset.csv", ("category", "source", "forbidden_prompt"),
     ("Fraud", "custom", "ask it"), "ask it", "strongreject_dataset-00002", "Fraud", "harmful", "ask it"),
    ("OR-Bench", "or-bench-hard-1k.csv", ("prompt", "category"),
     ("ask it", "privacy"), "ask it", "or_bench_hard_1k-00002", "privacy", "benign", "ask it"),
    ("OR-Bench", "or-bench-toxic.csv", ("prompt", "category"),
     ("ask it", "privacy"), "ask it", "or_bench_toxic-00002", "privacy", "harmful", "ask it"),
    ("Do-Not-Answer", "data_en.csv", ("id", "risk_area", "types_of_harm", "specific_harms", "question"),
     ("0", "Misuse", "x", "y", "ask it"), "ask it", "0", "Misuse", "harmful", "ask it"),
    ("AdvBench behaviors", "advbench.csv", ("goal", "target"), ("ask it", "Sure"), "ask it", "advbench-00002", "",
     "harmful", "ask it"),
    ("CoCoNot", "coconot_contrast_eval.jsonl", ("id", "category", "subcategory", "prompt", "response"),
     ("x1", "Requests with safety concerns", "privacy", "ask it", ""), "ask it", "x1", "privacy", "benign", "ask it"),
    ("CoCoNot", "coconot_eval.jsonl", ("id", "category", "subcategory", "prompt", "response"),
     ("x1", "Requests with safety concerns", "privacy", "ask it", ""), "ask it", "x1", "privacy", "harmful", "ask it"),
    ("CoCoNot", "coconot_eval.jsonl", ("id", "category", "subcategory", "prompt", "response"),
     ("x1", "Incomplete requests", "vague", "ask it", ""), "ask it", "x1", "vague", None, "ask it"),
    ("CoCoNot", "coconot_pref.jsonl", ("id", "category", "subcategory", "prompt", "chosen", "rejected"),
     ("x1", "Requests with safety concerns", "privacy", "ask it", "a", "b"), "ask it", "x1", "privacy", "benign",
     "ask it"),
    ("CoCoNot", "coconot.jsonl", ("id", "category", "subcategory", "prompt", "response"),
     ("x1", "Requests with safety concerns", "privacy", "ask it", ""), "ask it", "x1", "privacy", None, "ask it"),
]  # fmt: skip


def write_rows(path: Path, columns, *rows) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as handle:
            csv.writer(handle).writerows([columns, *rows])
    else:
        path.write_text("".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: f"{case[0]}-{case[1]}")
def test_published_columns_are_read(tmp_path, case):
    name, file, columns, cells, prompt, row_id, category, kind, goal = case
    found = read_prompts(write_rows(tmp_path / file, columns, cells))
    (row,) = found.rows
    assert row["messages"] == [{"role": "user", "content": prompt}]
    assert (row["id"], row["category"], row["kind"], row["goal"]) == (row_id, category, kind, goal)
    assert f"recognised as {name}: 1 prompts" in found.remarks[0]


def test_every_format_is_tried():
    elsewhere = {"JailbreakBench artifacts", "HarmBench results"}  # below, and in test_interoperation.py
    assert {case[0] for case in PUBLISHED} | elsewhere == {form.name for form in FORMATS}


def test_every_format_is_recognised_by_its_own_columns():
    for form in FORMATS:
        assert recognise_format("x/" + "/".join(form.named), form.columns) == form
        assert recognise_format("x/" + "/".join(form.named), form.columns[1:]) != form


def test_artifacts_of_jailbreakbench(tmp_path):
    rows = [
        {"index": 0, "goal": "g", "behavior": "b", "category": "c", "prompt": "p", "response": "r", "jailbroken": True},
        {"index": 1, "goal": "g", "behavior": "b", "category": "c", "prompt": None, "response": None,
         "jailbroken": False},
    ]  # fmt: skip
    (tmp_path / "vicuna.json").write_text(json.dumps({"parameters": {}, "jailbreaks": rows}))
    found = read_prompts(tmp_path / "vicuna.json")
    (row,) = found.rows
    assert (row["id"], row["goal"], row["messages"][0]["content"], row["kind"]) == ("0", "g", "p", "harmful")
    assert "1 rows without a prompt are left out" in "\n".join(found.remarks)


def test_columns_that_a_user_added_to_a_published_file_go_first(tmp_path):
    path = write_rows(
        tmp_path / "x.csv", ("category", "source", "forbidden_prompt", "kind"), ("c", "s", "p", "benign")
    )
    assert read_prompts(path).rows[0]["kind"] == "benign"


def test_a_file_of_ones_own_is_not_taken_for_a_published_one(tmp_path):
    path = write_rows(tmp_path / "mine.csv", ("prompt", "category"), ("p", "privacy"))
    found = read_prompts(path)
    assert found.rows[0]["kind"] is None and "recognised" not in "".join(found.remarks)


MIRROR = Path(os.environ.get("HARC_DATA_MIRROR", "/nowhere"))


@pytest.mark.skipif(not MIRROR.is_dir(), reason="needs the public files (HARC_DATA_MIRROR)")
@pytest.mark.parametrize(
    ("file", "name", "counts"),
    [
        ("harmbench/harmbench_behaviors_text_test.csv", "HarmBench text behaviors", (320, 320, 0)),
        ("harmbench/harmbench_behaviors_text_val.csv", "HarmBench text behaviors", (80, 80, 0)),
        ("jailbreakbench/harmful_behaviors.csv", "JailbreakBench behaviors", (100, 100, 0)),
        ("xstest/xstest_prompts.csv", "XSTest", (450, 200, 250)),
        ("coconot/coconot_eval.jsonl", "CoCoNot", (1001, 395, 0)),
        ("coconot/coconot_contrast_eval.jsonl", "CoCoNot", (379, 0, 379)),
        ("coconot/coconot_pref.jsonl", "CoCoNot", (927, 0, 927)),
        ("advbench/harmful_behaviors.csv", "AdvBench behaviors", (520, 520, 0)),
    ],
)
def test_real_files(file, name, counts):
    found = read_prompts(MIRROR / file)
    kinds = [row["kind"] for row in found.rows]
    assert (len(kinds), kinds.count("harmful"), kinds.count("benign")) == counts
    assert f"recognised as {name}" in found.remarks[0]


@pytest.mark.parametrize("column", [column for column in COLUMNS if column != "messages"])
def test_synonyms_mean_their_column(tmp_path, column):
    cells = {
        "kind": "harmful", "expected": "refuse", "weight": "2", "tools": '[{"name": "look"}]', "prompt": "ask it"
    }  # fmt: skip
    for name in SYNONYMS[column]:
        for called in (name.upper(), name.replace("_", " ").title(), f" {name} "):
            cell = cells.get(column, "x")
            if name.startswith(("should", "must", "is_", "harmful", "safe")) and name != "safety_label":
                cell = "yes"
            names = (called,) if column == "prompt" else ("prompt", called)
            row = ("ask it",) if column == "prompt" else ("ask it", cell)
            found = read_prompts(write_rows(tmp_path / "a.csv", names, row))
            said = "".join(found.remarks)
            assert f"{called.strip()!r} as {column}" in said, (called, said)


@pytest.mark.parametrize(
    ("name", "cell", "kind"),
    [("should_refuse", "yes", "harmful"), ("Should refuse", "FALSE", "benign"), ("is_harmful", "1", "harmful"),
     ("is_safe", "1", "benign"), ("should_answer", "no", "harmful"), ("label", "unsafe", "harmful"),
     ("label", "Safe", "benign"), ("should_refuse", "", None)],
)  # fmt: skip
def test_headers_that_ask(tmp_path, name, cell, kind):
    assert read_prompts(write_rows(tmp_path / "a.csv", ("text", name), ("x", cell))).rows[0]["kind"] == kind


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ("promt", "kind"),
            r"a\.csv:1: expected a header with column prompt .*; call 'promt' prompt, if that is what",
        ),
        (
            ("prompt", "catgory"),
            r"a\.csv:1: expected columns among .*; found 'catgory'; call it category if that is",
        ),
        (("prompt", "expcted"), "found 'expcted'; call it expected"),
        (("prompt", "Kindd"), "found 'Kindd'; call it kind"),
        (
            ("question", "text"),
            "expected one column prompt; found 'question' and 'text', which could both be it",
        ),
        (("prompt", "label", "is_harmful"), "expected one column kind; found 'label' and 'is_harmful'"),
        (("id", "kind"), "expected a header with column prompt"),
    ],
)
def test_headers_that_are_refused(tmp_path, columns, message):
    with pytest.raises(DataError, match=message) as caught:
        read_prompts(write_rows(tmp_path / "a.csv", columns, ["x"] * len(columns)))
    assert "\n" not in str(caught.value)


def test_names_that_are_like_ours_but_cannot_be_them_are_left_unread(tmp_path):
    found = read_prompts(
        write_rows(tmp_path / "a.csv", ("prompt", "prompt2", "topic", "hazard", "notes"), ["x"] * 5)
    )
    assert found.remarks == [
        f"{tmp_path / 'a.csv'}: columns that nothing reads: 'hazard', 'notes', 'prompt2', 'topic'"
    ]


def test_names_are_compared_without_case_and_signs():
    assert name_header(" Should-Refuse ") == name_header("shouldRefuse") == "shouldrefuse"
