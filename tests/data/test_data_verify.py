"""The check of the embedded dataset's bytes, and DVC's way of naming a folder."""

import os
import shutil
from pathlib import Path

import pytest

from harc.core.errors import DataError
from harc.core.files import write_json
from harc.data.verify import build_manifest, hash_like_dvc, read_pin, verify_data


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "organism"
    (folder / "parts").mkdir(parents=True)
    (folder / "world.json").write_text('{"verbs": ["flimmer"]}\n')
    (folder / "parts" / "training.jsonl").write_text('{"prompt": "flimmer the wozzle"}\n')
    write_json(tmp_path / "manifest.json", build_manifest(folder))
    return folder


def test_unchanged_data_has_no_problems(dataset: Path):
    report = verify_data(dataset, dataset.parent / "manifest.json")
    assert report.problems == []
    assert sorted(report.files) == ["parts/training.jsonl", "world.json"]
    report.raise_first()


def test_a_copy_with_other_dates_has_no_problems(dataset: Path):
    copy = dataset.parent / "copy"
    shutil.copytree(dataset, copy)
    for path in copy.rglob("*"):
        os.utime(path, (0, 0))
    assert verify_data(copy, dataset.parent / "manifest.json").problems == []


def flip_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[3] ^= 4
    path.write_bytes(data)


FAULTS = {
    "flipped": (
        flip_bit,
        r"world.json: expected 23 bytes with sha256 .*; found 23 bytes .*harc data pull --force",
    ),
    "truncated": (lambda path: os.truncate(path, 5), r"world.json: expected 23 bytes .*; found 5 bytes"),
    "deleted": (Path.unlink, r"world.json: expected a file of the dataset; found none"),
    "added": (
        lambda path: path.with_name(".hidden").write_text("x"),
        r".hidden: expected no such file in the dataset; found one; remove it",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named(dataset: Path, fault: str):
    damage, message = FAULTS[fault]
    damage(dataset / "world.json")
    report = verify_data(dataset, dataset.parent / "manifest.json")
    assert len(report.problems) == 1
    with pytest.raises(DataError, match=message):
        report.raise_first()


def test_several_faults_are_counted(dataset: Path):
    shutil.rmtree(dataset)
    with pytest.raises(DataError, match=r"training.jsonl: .*\(and 1 more: `harc data verify` lists them\)"):
        verify_data(dataset, dataset.parent / "manifest.json").raise_first()


def test_a_pin_of_other_files_is_a_problem(dataset: Path):
    pin = dataset.parent / "data.dvc"
    pin.write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: organism\n")
    problems = verify_data(dataset, dataset.parent / "manifest.json", pin).problems
    assert [problem.where for problem in problems] == [str(pin)]
    pin.write_text(f"outs:\n- md5: {hash_like_dvc(dataset)}\n  path: organism\n")
    assert verify_data(dataset, dataset.parent / "manifest.json", pin).problems == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("outs: [", "no readable pin"),
        ("outs: []\n", "0 outputs"),
        ("outs:\n- md5: 01\n", "one that is no folder"),
    ],
)
def test_an_unreadable_pin_is_one_line(tmp_path: Path, text: str, found: str):
    (tmp_path / "data.dvc").write_text(text)
    with pytest.raises(DataError, match=f"data.dvc: expected a DVC pin of one folder; found .*{found}"):
        read_pin(tmp_path / "data.dvc")


def test_a_manifest_of_another_format_is_refused(dataset: Path):
    write_json(dataset.parent / "manifest.json", {"format": 7, "files": {}})
    with pytest.raises(DataError, match="manifest.json: expected a data manifest of format 1"):
        verify_data(dataset, dataset.parent / "manifest.json")
