"""Evaluation rows: what is wrong is said with file and line."""

import pytest

from harc.core.errors import DataError
from harc.core.files import write_jsonl
from harc.suites.records import name_goal
from harc.suites.rows import LONGEST_PROMPT, read_rows


def make_row(number: int, suite: str = "direct", text: str = "hello", **changes) -> dict:
    row = {"id": f"row-{number}", "suite": suite, "category": "harmful", "expected": "x"}
    return row | {"messages": [{"role": "user", "content": text}]} | changes


def test_rows_are_grouped_in_the_order_asked_for(tmp_path):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [make_row(0, "benign"), make_row(1), make_row(2, "benign"), make_row(3, "documents")])
    rows = read_rows(path, ("direct", "benign"))
    assert {suite: [row["id"] for row in members] for suite, members in rows.items()} == {
        "direct": ["row-1"],
        "benign": ["row-0", "row-2"],
    }


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (make_row(0), r"rows\.jsonl:2: expected an id of its own; found row-0, which line 1 has too"),
        (make_row(1, messages=[]), r"rows\.jsonl:2: expected 'messages' .* found no list of messages"),
        (make_row(1, messages="hi"), "found no list of messages"),
        (
            make_row(1, messages=[{"role": "assistant", "content": "x"}]),
            "found a message that is no user turn",
        ),
        (make_row(1, text=" \n"), "found an empty message"),
        (make_row(1, text="x" * (LONGEST_PROMPT + 1)), "found a message of 200001 characters"),
        (make_row(1, text="a\x00b"), r"found the control character U\+0000"),
        (make_row(1, "benign"), None),
    ],
)
def test_bad_rows(tmp_path, row, text):
    path = tmp_path / "rows.jsonl"
    write_jsonl(path, [make_row(0), row])
    if text is None:
        assert len(read_rows(path, ("direct", "benign"))) == 2
        return
    with pytest.raises(DataError, match=text):
        read_rows(path, ("direct",))


def test_a_suite_without_rows(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [make_row(0)])
    with pytest.raises(DataError, match="expected rows of suite pair; found none"):
        read_rows(tmp_path / "rows.jsonl", ("direct", "pair"))


def test_rows_of_other_suites_are_not_checked_for_content(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [make_row(0), make_row(1, "documents", text="")])
    assert list(read_rows(tmp_path / "rows.jsonl", ("direct",))) == ["direct"]


def test_goal_names():
    assert name_goal({"id": "r", "goal": {"verb": "v", "target": "t", "modifier": None}}) == "v t"
    named = name_goal({"id": "r", "goal": "behaviour-7"})
    assert (
        named
        == name_goal({"id": "s", "goal": "behaviour-7"})
        != name_goal({"id": "r", "goal": "behaviour-8"})
    )
    assert "behaviour" not in named
    assert name_goal({"id": "r", "goal": None}) == "r"
