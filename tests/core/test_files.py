"""Files are written whole or not at all, and read with errors that name the line."""

import json
import os

import pytest

from harc.core.errors import DataError
from harc.core.files import (
    atomic_directory,
    read_json,
    read_jsonl,
    sha256_file,
    write_bytes,
    write_json,
    write_jsonl,
)


def test_equal_values_give_equal_bytes(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": 0.1})
    write_json(tmp_path / "b.json", {"a": 0.1, "b": 1})
    assert sha256_file(tmp_path / "a.json") == sha256_file(tmp_path / "b.json")


def test_nan_is_refused_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_failed_write_leaves_no_temporary_file(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_rows_come_back_whatever_characters_they_hold(tmp_path):
    rows = [{"text": "line\u2028separator \x85 \x0c end\n"}, {"text": "ünïcode"}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    assert read_jsonl(tmp_path / "rows.jsonl", required=["text"]) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', r"rows.jsonl:2: expected a JSON object"),
        (b'{"a": 1}\n\n{"a": 2}\n', r"rows.jsonl:2: expected a JSON object"),
        (b"[1]\n", r"rows.jsonl:1: expected a JSON object; found list"),
        (b'{"b": 1}\n', r"rows.jsonl:1: expected the fields a; found no a; add them"),
        (b'{"a": "\xff"}\n', r"rows.jsonl: expected UTF-8 text; found byte 0xff at offset 7"),
    ],
)
def test_damaged_rows_are_named(tmp_path, content, message):
    (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_jsonl(tmp_path / "rows.jsonl", required=["a"])


def test_missing_file_says_so(tmp_path):
    with pytest.raises(DataError, match=r"none.json: expected a file; found none; make it again"):
        read_json(tmp_path / "none.json")


def test_folder_is_replaced_only_by_a_finished_one(tmp_path):
    target = tmp_path / "artifact"
    with atomic_directory(target) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError), atomic_directory(target) as folder:
        (folder / "a").write_text("2")
        raise RuntimeError("cut")
    assert (target / "a").read_text() == "1"
    with atomic_directory(target) as folder:
        (folder / "b").write_text("3")
    assert sorted(os.listdir(target)) == ["b"]
    assert os.listdir(tmp_path) == ["artifact"]


def test_json_lines_are_sorted_by_key(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [{"b": 1, "a": 2}])
    assert list(json.loads((tmp_path / "rows.jsonl").read_text())) == ["a", "b"]
