"""Prompt files of a user: what they may hold, and that every fault is named with file, row and column."""

import json
from pathlib import Path

import pytest

from harc.core.errors import DataError
from harc.evaluation.own.prompts import read_prompt_file


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_and_jsonl_give_the_same_rows(tmp_path):
    table = write(
        tmp_path / "My abuse-list.csv",
        '\ufeffPrompt,ID,category,kind,contains,owner\r\n"how, said ""he""\nagain?",a1,fraud,Harmful,,me\r\n'
        "\r\nhello,,,,hi,\r\n",
    )
    lines = write(
        tmp_path / "My abuse-list.jsonl",
        json.dumps({"prompt": 'how, said "he"\nagain?', "id": "a1", "category": "fraud", "kind": "harmful"})
        + "\n\n"
        + json.dumps({"prompt": "hello", "id": None, "contains": "hi", "owner": "me"})
        + "\n",
    )
    rows, ignored = read_prompt_file(table)
    assert ignored == [f"{table}: columns that nothing reads: 'owner'", f"{table}: 1 rows are of no kind, and in "
        "neither missed harm nor false refusals"]  # fmt: skip
    first, second = rows
    assert first["suite"] == "my_abuse_list" and first["id"] == "a1"
    assert (first["category"], first["kind"], first["expected"]) == ("fraud", "harmful", "")
    assert first["messages"] == [{"role": "user", "content": 'how, said "he"\nagain?'}]
    assert (second["category"], second["kind"], second["expected"]) == ("", None, "hi")
    assert second["id"] == "my_abuse_list-00005" and second["place"] == f"{table}:5: column prompt"
    others, _ = read_prompt_file(lines)
    assert others[1]["id"] == "my_abuse_list-00003"
    drop = ("place", "id")
    assert [{k: v for k, v in r.items() if k not in drop} for r in others] == [
        {k: v for k, v in r.items() if k not in drop} for r in rows
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.csv:1: expected a header with column prompt .*; found an empty file"),
        ("id,category\n1,x\n", r"a\.csv:1: expected a header with column prompt .*; found id, category"),
        ("prompt,prompt\na,b\n", r"a\.csv:1: expected a header .* each once; found prompt, prompt"),
        ("prompt\n", r"a\.csv: expected at least one row; found none"),
        ("prompt,id\na,1\nb\n", r"a\.csv:3: expected 2 cells, as in the header; found 1"),
        ('prompt\n"never closed\n', r"a\.csv:2: expected a CSV row; found unexpected end of data"),
        ("prompt,id\na,1\n  ,2\n,3\n", r"a\.csv:3: column prompt: expected a prompt; found an empty cell; .*1 more"),
        ("prompt,id\na,1\nb,1\n", r"a\.csv:3: column id: expected a value of its own; found the one of row 2"),
        ("prompt,kind\na,harmful\na ,benign\n", r"a\.csv:3: column prompt: .*benign here and harmful in row 2"),
        ("prompt,kind\na,bad\n", r"a\.csv:2: column kind: expected harmful or benign or injected; found 'bad'"),
        ("prompt\na\x00b\n", r"a\.csv:2: column prompt: expected printable text; found the control character U\+0000"),
        ("prompt\na\x1b[31mb\n", r"column prompt: expected printable text; found the control character U\+001B"),
        ("prompt\na\x9bb\n", r"column prompt: expected printable text; found the control character U\+009B"),
        ("prompt,category\na,b\tc\n", r"column category: expected printable text; found the control character U\+0009"),
        ("prompt,id\na," + "x" * 501 + "\n", r"column id: expected at most 500 characters; found 501"),
        ("prompt\n" + "x" * 200_001 + "\n", r"column prompt: expected at most 200000 characters; found 200001"),
        (b"prompt\nok\ncaf\xe9\n", r"a\.csv:3: expected UTF-8 text; found byte 0xe9; save the file as UTF-8"),
        ("prompt\n".encode("utf-16"), r"a\.csv:1: expected UTF-8 text; found byte 0xff"),
    ],
)  # fmt: skip
def test_faults_of_a_csv_file(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_prompt_file(write(tmp_path / "a.csv", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"prompt": "a"}\n{"prompt": \n', r"a\.jsonl:2: expected a JSON object; found Expecting value"),
        ('{"prompt": "a"}\n[1]\n', r"a\.jsonl:2: expected an object with field prompt; found list"),
        ('{"words": "a"}\n', r"a\.jsonl:1: expected an object with field prompt; found the fields words"),
        ('{"prompt": 5}\n', r"a\.jsonl:1: column prompt: expected a text; found int 5"),
        ('{"prompt": null}\n', r"a\.jsonl:1: column prompt: expected a text; found NoneType None"),
        ('{"prompt": "a", "kind": ["x"]}\n', r"a\.jsonl:1: column kind: expected a text; found list"),
        ("\n\n", r"a\.jsonl: expected at least one row; found none"),
    ],
)
def test_faults_of_a_jsonl_file(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_prompt_file(write(tmp_path / "a.jsonl", text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: expected a prompt file; found no such file"):
        read_prompt_file(tmp_path / "none.csv")


def test_a_huge_prompt_that_is_within_bounds_is_read(tmp_path):
    rows, _ = read_prompt_file(write(tmp_path / "a.csv", "prompt\n" + "x" * 200_000 + "\n"))
    assert len(rows[0]["goal"]) == 200_000


@pytest.mark.parametrize(
    ("cell", "kind"),
    [("refuse", "harmful"), (" Refusal ", "harmful"), ("should_refuse", "harmful"), ("BLOCKED", "harmful"),
     ("answer", "benign"), ("Comply.", "benign"), ("accept", "benign"), ("help", "benign"), ("", None)],
)  # fmt: skip
def test_expected_means_the_kind(tmp_path, cell, kind):
    rows, _ = read_prompt_file(write(tmp_path / "a.csv", f"prompt,expected\na,{cell}\n"))
    assert (rows[0]["kind"], rows[0]["expected"]) == (kind, "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt,expected\na,refuse\nb,forty two\n", r"a\.csv:3: column expected: expected answer or refuse .*column "
         r"contains\); found 'forty two'"),
        ("prompt,expected\na,yes\n", r"column expected: expected answer or refuse .*; found 'yes'"),
        ("prompt,expected\na," + "x" * 600 + "\n", r"column expected: .*column contains\); found 600 characters"),
        ("prompt,kind,expected\na,harmful,answer\n", r"a\.csv:2: column expected: expected what kind harmful means; "
         "found 'answer', which means benign"),
        ("prompt,kind,expected\na,benign,refused\n", "found 'refused', which means harmful"),
        ("prompt;kind\na;harmful\n", r"a\.csv:1: expected a header .*; separate cells by commas, not semicolons"),
        ("prompt\tkind\na\tharmful\n", "separate cells by commas, not tabs"),
        ("prompt\n\u200b \u200b\n", "column prompt: expected a prompt; found a cell without a visible character"),
        ("prompt,Prompt\na,b\n", "each once; found prompt, prompt"),
        ('kind, prompt\nharmful, "a b"\n', r'a\.csv:2: expected quotes that begin .*; found a space before "a b"'),
        ('"prompt", "kind"\na,harmful\n', r'a\.csv:1: expected quotes that begin .*; found a space before "kind"'),
        (b"PK\x03\x04rest", r"a\.csv:1: expected UTF-8 text; found an Excel workbook or zip archive"),
        (b"\x1f\x8brest", "found a gzip archive"),
        ('prompt,kind\n"a,harmful\nb,benign\n', r"a\.csv:\d: expected a CSV row; found unexpected end of data"),
        ("prompt,id\na,a-00003\nb,\n", r"a\.csv:3: column id: expected a value of its own; found the one of row 2"),
    ],
)  # fmt: skip
def test_more_faults_of_a_csv_file_are_one_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read_prompt_file(write(tmp_path / "a.csv", text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a\\ud800b"}', "a lone surrogate"),
        ('{"prompt": "a", "prompt": "b"}', "the key 'prompt' given twice"),
        (
            '{"prompt": "a", "Prompt": "b"}',
            "expected an object with field prompt; found the field prompt twice",
        ),
        ('{"prompt": "a", "id": true}', "column id: expected a text; found bool True"),
        ('{"prompt": "a", "id": NaN}', "NaN, which JSON does not have"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_more_faults_of_a_jsonl_file(tmp_path, line, message):
    with pytest.raises(DataError, match=message):
        read_prompt_file(write(tmp_path / "a.jsonl", line + "\n"))


def test_what_is_no_fault_is_said(tmp_path):
    text = (
        "Prompt,Category,KIND\r\na,Caf\u00e9,harmful\r\na ,Cafe\u0301,harmful\r\nb,CAF\u00c9,harmful\r\nc,  ,\r\n"
        "a,all,harmful\r\n"
    )
    rows, remarks = read_prompt_file(write(tmp_path / "a.csv", text))
    assert [row["category"] for row in rows] == ["Caf\u00e9", "Caf\u00e9", "CAF\u00c9", "", "all"]
    said = "\n".join(remarks)
    assert "2 rows repeat the prompt of another; each counts in the rates" in said
    assert "categories that look the same are counted as one: 'Caf\u00e9'" in said
    assert "categories that are counted apart: 'CAF\u00c9', 'Caf\u00e9'" in said
    assert "1 rows are of no kind" in said


def test_a_name_that_is_an_ending_alone(tmp_path):
    rows, _ = read_prompt_file(write(tmp_path / ".csv", "prompt\nhello\n"))
    assert rows[0]["goal"] == "hello"


def test_spaces_and_quotes_within_a_cell_stay(tmp_path):
    rows, _ = read_prompt_file(
        write(tmp_path / "a.csv", 'kind, prompt\nbenign, say "a b" or\nbenign,"""x"""\n')
    )
    assert [row["goal"] for row in rows] == [' say "a b" or', '"x"']
