"""Conversations, tools, weights, Parquet, repeated and faulty rows of prompt files; files written in a hurry."""

import csv
import io
import json
import random
from pathlib import Path

import pytest

from harc.core.errors import DataError
from harc.evaluation.own.prompts import read_prompt_file, read_prompts

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "and now?"},
]
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}


def write_jsonl(path: Path, *rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_conversations_and_tools(tmp_path):
    path = write_jsonl(
        tmp_path / "a.jsonl",
        {
            "messages": TURNS,
            "tools": [TOOL],
            "kind": "benign",
            "language": "en",
            "weight": 2,
            "policy": "P 1",
        },
        {"messages": json.dumps(TURNS[:2]), "prompt": "hello", "tools": json.dumps([TOOL])},
        {"prompt": "plain", "messages": None, "goal": "what is meant", "tools": "", "weight": "0.5"},
    )
    first, second, third = read_prompts(path).rows
    assert first["messages"] == TURNS and first["goal"] == "and now?"
    assert first["tools"] == [{"type": "function", "function": TOOL}] == second["tools"]
    assert (first["language"], first["weight"], first["policy"]) == ("en", 2.0, "P 1")
    assert second["goal"] == "hello"
    assert third["goal"] == "what is meant" and "tools" not in third and third["weight"] == 0.5


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": TURNS[:3]}, r"column messages: expected a last turn by the user; found one by the assistant"),
        ({"messages": TURNS[1:2] + TURNS[:1]}, "expected a system prompt as the first turn; found one as turn 2"),
        ({"messages": []}, "expected a JSON list of turns with role and content; found an empty one"),
        ({"messages": "[]"}, "expected a JSON list of turns with role and content; found an empty one"),
        ({"messages": "hello"}, "expected a JSON list of turns"),
        ({"messages": {"role": "user"}}, "found dict"),
        ({"messages": [{"role": "root", "content": "x"}]}, "roles among system, user, assistant, tool; found 'root'"),
        ({"messages": [{"role": "user", "content": " "}]}, "expected a text in every turn; found none in turn 1"),
        ({"messages": [{"role": "user", "content": "a\u0007"}]}, r"found the control character U\+0007 in turn 1"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "expected turns of text"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [1]}]}, "found 'tool_calls' in turn 1"),
        ({"messages": [{"role": "user", "content": "x"}] * 201}, "expected at most 200 turns"),
        ({"messages": [{"role": "user", "content": "x" * 200_001}]}, "expected at most 200000 characters"),
        ({"messages": TURNS[:2], "prompt": "other"}, "column prompt: expected nothing, or the last turn of messages"),
        ({"prompt": "x", "tools": "{}"}, "column tools: expected a JSON list of tools; found dict"),
        ({"prompt": "x", "tools": [1]}, "found int as number 1"),
        ({"prompt": "x", "tools": [{"description": "y"}]}, "expected a name for every tool; found none for tool 1"),
        ({"prompt": "x", "tools": [TOOL, TOOL]}, "expected tools with names of their own; found 'look' for tool 2"),
        ({"prompt": "x", "tools": [{"name": "a", "parameters": "p"}]}, "expected parameters as a JSON schema"),
        ({"prompt": "x", "weight": 0}, "column weight: expected a number above 0; found 0"),
        ({"prompt": "x", "weight": "much"}, "column weight: expected a number above 0; found 'much'"),
        ({"prompt": "x", "weight": True}, "column weight: expected a number above 0; found True"),
        ({"prompt": "x", "weight": "1e999"}, "column weight: expected a number above 0; found '1e999'"),
    ],
)  # fmt: skip
def test_faults_of_cells(tmp_path, row, message):
    with pytest.raises(DataError, match=rf"a\.jsonl:1: .*{message}") as caught:
        read_prompts(write_jsonl(tmp_path / "a.jsonl", row))
    assert "\n" not in str(caught.value)


def test_where_single_prompts_are_read_conversations_are_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"a\.jsonl:1: .*expected one user turn; found several turns, or tools"
    ):
        read_prompt_file(write_jsonl(tmp_path / "a.jsonl", {"messages": TURNS}))
    rows, _ = read_prompt_file(write_jsonl(tmp_path / "a.jsonl", {"prompt": "wrapped", "goal": "plain"}))
    assert rows[0]["goal"] == "wrapped"


def test_parquet_gives_the_rows_of_jsonl(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    values = {"Prompt": ["a b", "c"], "kind": ["harmful", None], "id": [7, 8], "messages": [None, None]}
    parquet.write_table(pa.table(values), tmp_path / "a.parquet")
    lines = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    drop = ("place",)
    found, other = (
        [{k: v for k, v in row.items() if k not in drop} for row in read_prompts(path).rows]
        for path in (tmp_path / "a.parquet", write_jsonl(tmp_path / "a.jsonl", *lines))
    )
    assert found == other and found[0]["id"] == "7"


@pytest.mark.parametrize("data", [b"", b"PAR1", b"prompt\nx\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_damaged_parquet_file_is_one_line(tmp_path, data):
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.parquet: expected a Parquet file; found ") as caught:
        read_prompts(tmp_path / "a.parquet")
    assert "\n" not in str(caught.value)


def test_faulty_rows_are_left_out_and_listed_on_request(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(
        b'prompt,kind\none,harmful\n ,benign\ntwo\nthr\xe9e,harmful\nfour,odd\n"fi"ve,benign\nsix,benign\n'
    )
    with pytest.raises(DataError, match=r"a\.csv:5: expected UTF-8 text"):
        read_prompts(path)
    found = read_prompts(path, skip_faulty=True)
    assert [row["goal"] for row in found.rows] == ["one", "six"]
    assert [(row.place, row.column) for row in found.faulty] == [
        (3, "prompt"), (4, ""), (5, "prompt"), (6, "kind"), (7, "")
    ]  # fmt: skip
    said = "\n".join(found.remarks)
    assert (
        "a.csv:5: column prompt: left out: expected printable text; found byte 0xe9, which is no UTF-8"
        in said
    )
    assert "a.csv: 5 of 7 rows are left out, since they have faults" in said


def test_without_that_the_first_fault_and_their_number_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,kind\none,harmful\n,benign\ntwo\n")
    with pytest.raises(
        DataError, match=r"a\.csv:3: column prompt: .*1 more rows have faults \(--skip-bad-rows leaves"
    ):
        read_prompts(path)


def test_a_file_of_faults_alone_is_an_error_whatever_is_asked(tmp_path):
    with pytest.raises(DataError, match=r"a\.jsonl:1: expected an object with field prompt; found list"):
        read_prompts(write_jsonl(tmp_path / "a.jsonl", [1], {"prompt": ""}), skip_faulty=True)


def test_repeated_prompts_are_collapsed_on_request(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,kind,category\na,harmful,x\n a ,harmful,y\nb,benign,x\n")
    assert len(read_prompts(path).rows) == 3
    found = read_prompts(path, collapse=True)
    assert [row["goal"] for row in found.rows] == ["a", "b"]
    assert "1 rows that repeat the prompt of another are left out" in "\n".join(found.remarks)


def make_cell(draw: random.Random) -> str:
    pieces = (
        "a", "how do i", '"', ",", "\n", "\t", "\x00", "\x1b[2J", "\u202e", "\ud83d\ude00", "é", "{", "[1", "null",
        "NaN", "harmful", "Benign", "refuse", "yes", "1e999", "-1", " ", "\ufeff", "\u200b", "=1+1", "\\", "\r\n", "'",
        "0",
        '[{"role":"user","content":"x"}]', '[{"name":"t"}]', "x" * 600,
    )  # fmt: skip
    return "".join(draw.choice(pieces) for _ in range(draw.randrange(4)))


NAMES = (
    "prompt", "Prompt", "text", "kind", "label", "expected", "should_refuse", "messages", "tools", "weight", "policy",
    "language", "id", "category", "goal", "contains", "promt", "", "notes", "é", "id ", "question",
)  # fmt: skip


def write_in_a_hurry(draw: random.Random, folder: Path) -> Path:
    """A file that is nearly a prompt file."""
    names = draw.sample(NAMES, draw.randrange(1, 6))
    if draw.random() < 0.8:
        names[0] = "prompt"
    rows = [[make_cell(draw) for _ in names] for _ in range(draw.randrange(5))]
    ending = draw.choice((".csv", ".jsonl", ".json"))
    if ending == ".csv":
        buffer = io.StringIO()
        csv.writer(buffer).writerows([names, *rows])
        text = buffer.getvalue()
    else:
        objects = [dict(zip(names, row, strict=True)) for row in rows]
        for one in objects:
            if draw.random() < 0.3:
                one[draw.choice(names)] = draw.choice((None, 1, 1.5, True, [], {}, [[]], 10**30))
        text = json.dumps(objects) if ending == ".json" else "\n".join(json.dumps(one) for one in objects)
    data = bytearray(text.encode("utf-8", "replace"))
    for _ in range(draw.choice((0, 0, 0, 1, 3))):
        if data:
            place = draw.randrange(len(data))
            if draw.random() < 0.5:
                data[place] = draw.randrange(256)
            else:
                del data[place : place + draw.randrange(1, 20)]
    path = folder / f"a{ending}"
    path.write_bytes(bytes(data))
    return path


def test_whatever_is_written_is_read_or_refused_in_one_line(tmp_path):
    draw, outcomes = random.Random(16), {"read": 0, "refused": 0, "left out": 0}
    for _ in range(600):
        path = write_in_a_hurry(draw, tmp_path)
        for lenient in (False, True):
            try:
                found = read_prompts(path, skip_faulty=lenient, collapse=lenient)
            except DataError as problem:
                outcomes["refused"] += 1
                assert "\n" not in str(problem) and str(path) in problem.where
                continue
            outcomes["read"] += 1
            outcomes["left out"] += len(found.faulty)
            assert found.rows and (lenient or not found.faulty)
            ids = [row["id"] for row in found.rows]
            assert len(set(ids)) == len(ids)
            for row in found.rows:
                assert row["messages"][-1]["role"] == "user" and row["kind"] in ("harmful", "benign", None)
                json.dumps(row, ensure_ascii=False, allow_nan=False).encode()
    assert min(outcomes.values()) > 50, outcomes
