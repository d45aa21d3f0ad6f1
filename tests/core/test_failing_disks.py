"""A disk that takes no more, or nothing: the old file stays, no half of a new one, and an error of the system."""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from harc.audit.cache_pin import install_records, read_records
from harc.core.files import atomic_directory, system_errors, write_bytes, write_json, write_jsonl, write_text
from harc.core.finished import KeyedStore
from harc.data.pins import PIN_HEADER
from harc.evaluation.own.answers import AnswerStore
from harc.model.endpoints.cache import CachedEndpoint
from harc.settings.endpoints import EndpointSettings
from harc.training.checkpoints import load_checkpoint, save_checkpoint

OLD = {"old": 1}
ROWS = [{"id": f"row-{number}", "prompt_sha256": "a" * 64, "text": "x" * 200} for number in range(100)]
RECORD = {"rule": "r", "params": [], "input": [], "input_checksums": {}, "record_format_version": 6}


@contextmanager
def full_disk(room: int = 4096) -> Iterator[None]:
    """Let no file of this process grow beyond some bytes: a write fails half-way, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def save_state(folder: Path, size: int) -> None:
    save_checkpoint(folder, size, "run", {"weights": torch.zeros(size)}, {})


WRITERS: dict[str, Callable[[Path], None]] = {
    "bytes": lambda folder: write_bytes(folder / "a", bytes(9000)),
    "text": lambda folder: write_text(folder / "a", PIN_HEADER * 200),
    "json": lambda folder: write_json(folder / "a", ROWS),
    "jsonl": lambda folder: write_jsonl(folder / "a", ROWS),
}


def list_tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("writer", WRITERS)
def test_a_writer_leaves_the_old_file_and_no_other(tmp_path, writer):
    write_json(tmp_path / "a", OLD)
    before = list_tree(tmp_path)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        WRITERS[writer](tmp_path)
    assert list_tree(tmp_path) == before
    WRITERS[writer](tmp_path)  # the twin: with room it is written
    assert list_tree(tmp_path) != before


def test_a_checkpoint_leaves_the_one_before_it_to_go_on_from(tmp_path):
    save_state(tmp_path / "run", 10)
    before = list_tree(tmp_path)
    with full_disk(), pytest.raises(OSError, match=r"File too large: '.*update_00009000'") as caught:
        save_state(tmp_path / "run", 9000)
    assert caught.value.errno == errno.EFBIG and list_tree(tmp_path) == before
    tensors, _ = load_checkpoint(tmp_path / "run", "run")
    assert tensors["weights"].shape == (10,)


def test_a_folder_written_by_a_library_is_whole_or_not_there(tmp_path):
    from tiny_models import build_model, load_tokenizer

    model, tokenizer = build_model("Llama"), load_tokenizer()
    for save in (model.save_pretrained, tokenizer.save_pretrained):
        with (
            full_disk(2048),
            pytest.raises(OSError),
            atomic_directory(tmp_path / "m") as folder,
            system_errors(folder),
        ):
            save(folder)
        assert list_tree(tmp_path) == {}


def test_other_errors_of_libraries_stay_as_they_are(tmp_path):
    with pytest.raises(ValueError, match="shape"), system_errors(tmp_path):
        raise ValueError("wrong shape")
    with pytest.raises(OSError, match="No space left on device: 'x'"), system_errors("x"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")


def test_answers_that_were_kept_are_taken_over_after_a_full_disk(tmp_path):
    answers = [{**row, "response": "fine", "finish_reason": "stop"} for row in ROWS]

    def count(store) -> int:
        return sum(store.load("s", row["id"], row["prompt_sha256"]) is not None for row in ROWS)

    store = AnswerStore(tmp_path / "out", {"format": 1})
    store.keep("s", answers[:3])
    with full_disk(), pytest.raises(OSError, match="File too large"):
        store.keep("s", answers)
    again = AnswerStore(tmp_path / "out", {"format": 1})
    assert count(again) == 3
    again.keep("s", answers)
    assert count(again) == 100


def test_records_kept_by_prompt_survive_a_line_that_was_cut(tmp_path):
    store = KeyedStore(tmp_path / "a.jsonl", {})
    parts = {row["id"]: row for row in ROWS}
    store.save_all({name: parts[name] for name in list(parts)[:3]})
    with full_disk(), pytest.raises(OSError, match="File too large"):
        store.save_all(parts)
    assert sum(store.load(name) is not None for name in parts) == 3
    with store.path.open("ab") as handle:
        handle.write(b'{"key": "cut')
    store.save_all(parts)
    assert [KeyedStore(store.path, {}).load(name) for name in parts] == ROWS


def test_an_answer_that_the_cache_cannot_keep_ends_the_run(tmp_path):
    from fixtures.scripted_endpoint import ScriptedEndpoint

    settings = EndpointSettings(
        kind="openai", model="m", base_url="http://127.0.0.1:9/v1", cache=tmp_path / "cache"
    )
    cached = CachedEndpoint(ScriptedEndpoint(lambda *_: "x" * 9000), settings)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        cached.complete([[{"role": "user", "content": "hello"}]])
    assert list_tree(tmp_path) == {}


def test_records_of_the_workflow_are_all_put_or_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results/ci").mkdir(parents=True)
    rows = [{"target": f"results/ci/{name}", "record": RECORD} for name in "abc"]
    for row in rows:
        Path(row["target"]).write_text("x")
    folders = [Path("results/ci")]
    install_records([{**rows[0], "record": {**RECORD, "rule": "before"}}], folders, Path("state"))
    rows[2] = {**rows[2], "record": {**RECORD, "note": "x" * 9000}}
    with full_disk(), pytest.raises(OSError, match="File too large"):
        install_records(rows, folders, Path("state"))
    (left,) = read_records(folders, state=Path("state"))
    assert left["record"]["rule"] == "before"


@pytest.mark.parametrize("obstacle", ["a file as folder", "a folder as file", "a broken link"])
def test_what_is_in_the_way_is_an_error_of_the_system(tmp_path, obstacle):
    if obstacle == "a file as folder":
        (tmp_path / "out").write_text("mine")
        place = tmp_path / "out" / "a.json"
    elif obstacle == "a folder as file":
        place = tmp_path / "a.json"
        (place / "inside").mkdir(parents=True)
    else:
        (tmp_path / "out").symlink_to(tmp_path / "nowhere" / "deeper")
        place = tmp_path / "out" / "a.json"
    before = list_tree(tmp_path)
    with pytest.raises(OSError) as caught:
        write_json(place, OLD)
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT)
    assert list_tree(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error_of_the_system(tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        write_json(tmp_path / "out" / "a.json", OLD)
    assert list_tree(tmp_path) == {}
