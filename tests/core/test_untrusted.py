"""Text from elsewhere: JSON is read strictly, and what is shown cannot steer a terminal or a spreadsheet."""

import json

import pytest

from harc.core.errors import DataError
from harc.core.files import read_json, read_jsonl
from harc.core.untrusted import (
    escape_control,
    neutralise_formula,
    parse_json,
    replace_surrogates,
    restore_formula,
)


@pytest.mark.parametrize("value", [None, True, 1, -2.5e-300, 10**300, "é\U0001f600", {"a": [{}, {"b": ""}]}])
def test_what_json_can_hold_is_read_as_it_is(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' given twice"),
        ('{"\\u001b[2J": 1, "\\u001b[2J": 1}', r"\\x1b\[2J"),
        ("[NaN]", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1" * 5000, "5000 digits"),
        ("1e999", "no float can hold"),
        ("[" * 100_000, "nested too deep"),
        ('{"a":' * 100_000, "nested too deep"),
        (r'{"a": "\ud800"}', "lone surrogate"),
        (r'{"\udc00": 1}', "lone surrogate"),
        ("{", "line 1"),
        ("", "line 1"),
    ],
)
def test_anything_else_is_one_kind_of_error(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', "1" * 5000, "[" * 100_000, r'"\ud800"', "{"])
def test_files_of_such_text_are_data_errors_in_one_line(tmp_path, text):
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(DataError, match="file.json") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="file.json:1"):
        read_jsonl(path)


def test_a_pair_of_escaped_surrogates_is_one_character():
    assert parse_json(r'"\ud83d\ude00"') == "\U0001f600"


def test_lone_surrogates_are_replaced_and_nothing_else():
    assert replace_surrogates("a\ud800b\U0001f600") == "a�b\U0001f600"
    assert replace_surrogates("é") == "é"


def test_errors_cannot_steer_a_terminal():
    problem = DataError("a\x1b]0;owned\x07.csv", expected="\u202etxt", found="\x9b2J", fix="\x00")
    assert str(problem).isprintable()
    assert "\\x1b]0;owned\\x07.csv" in str(problem)
    assert escape_control("plain é") == "plain é"


@pytest.mark.parametrize("cell", ["=1+1", "+SUM(A1)", "-cmd|' /C calc'!A0", "@x", "\tx", "\r=1"])
def test_formulas_are_neutralised(cell):
    assert neutralise_formula(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["-1.5", "+2", "1e-9", "", "a=1", "-inf"])
def test_numbers_and_text_are_left_alone(cell):
    assert neutralise_formula(cell) == cell


@pytest.mark.parametrize(
    "cell", ["=1+1", "'=1+1", "''@x", "-1.5", "'-1.5", "'quoted'", "'", "", "plain", "''"]
)
def test_what_was_neutralised_is_read_as_it_was(cell):
    assert restore_formula(neutralise_formula(cell)) == cell
