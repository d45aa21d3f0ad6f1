"""Preference pairs of the hub: one safe and one unsafe answer, the others skipped; what training rows make of them."""

from pathlib import Path

import pytest

from harc.core.errors import DataError, EnvironmentProblem
from harc.core.files import write_jsonl
from harc.data.preference_pairs import read_preference_pairs
from harc.data.public import choose_refusal, make_answer
from harc.data.public_sources import Prompt


def make_row(number: int, first: bool, second: bool) -> dict:
    return {
        "prompt": f"invented question {number}",
        "response_0": f"first answer {number}",
        "response_1": f"second answer {number}",
        "is_response_0_safe": first,
        "is_response_1_safe": second,
    }


def write_rows(folder: Path, rows: list[dict]) -> str:
    write_jsonl(folder / "pairs/part.jsonl", rows)
    return str(folder / "pairs")


def test_rows_with_exactly_one_safe_answer_are_pairs(tmp_path: Path):
    rows = [
        make_row(0, True, False),
        make_row(1, False, True),
        make_row(2, True, True),
        make_row(3, False, False),
    ]
    found = read_preference_pairs(write_rows(tmp_path, rows))
    assert (found.skipped, found.revision) == (2, "local")
    assert [(pair.response, pair.rejected) for pair in found.pairs] == [
        ("first answer 0", "second answer 0"),
        ("second answer 1", "first answer 1"),
    ]


def test_bad_datasets_are_refused(tmp_path: Path, monkeypatch):
    with pytest.raises(DataError, match="expected rows with exactly one safe answer; found none among 1"):
        read_preference_pairs(write_rows(tmp_path / "a", [make_row(0, True, True)]))
    bare = [{"prompt": "invented", "response_0": "one"}]
    with pytest.raises(DataError, match="expected the columns prompt, .*; found no response_1"):
        read_preference_pairs(write_rows(tmp_path / "b", bare))
    (tmp_path / "c").mkdir()
    with pytest.raises(DataError, match="expected JSONL files"):
        read_preference_pairs(str(tmp_path / "c"))
    with pytest.raises(EnvironmentProblem, match="expected to reach it on the hub"):
        read_preference_pairs("nobody/nothing")


def test_a_harmful_row_keeps_its_refusal_and_carries_the_pair():
    pair = Prompt("invented question", "pairs", "", "safe answer", "unsafe answer")
    row = make_answer("harmful", pair)
    assert row["response"] == choose_refusal("invented question")
    assert (row["chosen"], row["rejected"]) == ("safe answer", "unsafe answer")
    benign = make_answer("harmless", Prompt("a question", "plain", "", "an answer"))
    assert (benign["response"], benign["rejected"]) == ("an answer", choose_refusal("a question"))
    assert "rejected" not in make_answer("harmful", Prompt("a request", "plain", ""))
