"""A study that goes on on another machine: weights of the same bytes, answers that may differ in a few, or a stop."""

import shutil
from pathlib import Path

import pytest

import harc.audit.keep
import harc.cli
from harc.audit.keep import keep_progress, record_kept
from harc.audit.study import WITHOUT_ANSWERS
from harc.audit.tree import audit_results
from harc.cli.running import run_command
from harc.core.artifacts import Layout
from harc.core.csv_files import write_csv
from harc.core.errors import ArtifactError, ModelError
from harc.core.files import read_json, read_jsonl, sha256_file, write_json, write_jsonl
from harc.core.provenance import seal_record
from harc.data.answers import HASH_COLUMNS, hash_rows
from harc.settings.profile import Profile
from harc.steps.audit import list_unread_files
from harc.steps.commands import create_job
from harc.steps.files import list_made, list_needed
from harc.steps.job import Job
from harc.steps.machines import check_machine, count_equal, date_machine
from harc.steps.progress import is_finished
from harc.steps.reference import REFERENCE, restore_progress
from harc.steps.reference_pack import read_pack
from harc.steps.registry import list_jobs
from harc.steps.warm_start import check_adapter

LOCAL = ("merge_warm_start", "write_answers")
UNITS = {"check_contamination": (), "fit_steering": ("backbone", "method", "seed")}
VALUES = {"backbone": "chat", "method": "cast", "seed": 0}
ELSEWHERE = Path("first_machine")


def find(profile: Profile, step: str) -> Job:
    return create_job(step, profile, **{name: VALUES[name] for name in UNITS.get(step, ("backbone", "seed"))})


def change_answers(profile: Profile, count: int) -> None:
    """Change some training answers, as another processor might, with hashes and sidecar as the step writes them."""
    job = find(profile, "write_answers")
    folder = profile.results_root / "answers/chat/seed0"
    rows = read_jsonl(folder / "training.jsonl")
    for row in rows[:count]:
        row["rejected"] += " now"
    write_jsonl(folder / "training.jsonl", rows)
    written = {
        "training.jsonl": rows,
        "extraction_pairs.jsonl": read_jsonl(folder / "extraction_pairs.jsonl"),
    }
    lines = [line for name, made in written.items() for line in hash_rows(name, made)]
    write_csv(folder / "hashes.csv", HASH_COLUMNS, lines)
    sidecar = list_made(job)[-1]
    record = read_json(sidecar)
    record["outputs"] = {
        name: sha256_file(profile.results_root / name.removeprefix("results://"))
        for name in record["outputs"]
    }
    write_json(sidecar, seal_record(record))


def test_a_second_machine_merges_the_same_bytes_and_trains_nothing(moved):
    root = moved.results_root
    assert not (root / "adapters/chat/cast/seed0/steering.safetensors").exists()
    for name in ("backbones/chat/seed0/model.safetensors", "backbones/chat/seed0/source.json"):
        assert (root / name).read_bytes() == (ELSEWHERE / name).read_bytes()
    assert check_machine(moved, "toy") == [] and not (root / "machines.json").exists()


def test_no_finished_job_looks_older_than_what_was_made_anew(moved):
    finished = [job for job in list_jobs(moved, Layout(moved.results_root)) if is_finished(job)]
    assert len(finished) == 6

    def find_stale() -> set[str]:
        return {
            job.step
            for job in finished
            for path in list_needed(job)
            if path.is_file()
            and path.stat().st_mtime_ns > min(p.stat().st_mtime_ns for p in list_made(job) if p.exists())
        }

    assert find_stale() >= {"extract_directions", "fit_steering"}
    date_machine(moved)
    assert find_stale() == set()


def test_a_few_other_answers_are_noted(moved):
    change_answers(moved, 1)
    (line,) = check_machine(moved, "toy")
    assert line.startswith("answers of chat beside the study's first machine: ")
    equal, _, rows = line.split(": ")[1].split(" ")[:3]
    assert int(equal) == int(rows) - 1 and "training harmful rejected" in line
    report = audit_results(moved.results_root, partial_tree=True, recompute=False)
    assert "input changed" not in {finding.kind for finding in report.findings}
    name = "results://answers/chat/seed0/training.jsonl"
    (remark,) = [remark for remark in report.remarks if "answers of another machine" in remark]
    assert remark.startswith(f"1 artifacts were made on answers of another machine: of those in {name} ")
    # The twin: it is the record that makes it a note.
    (moved.results_root / "machines.json").unlink()
    report = audit_results(moved.results_root, partial_tree=True, recompute=False)
    assert "input changed" in {finding.kind for finding in report.findings}


def test_the_pack_keeps_the_first_machine_s_hashes_and_no_answer(moved):
    change_answers(moved, 1)
    check_machine(moved, "toy")
    keep_progress(moved, "toy")
    files = dict(read_pack(REFERENCE / "toy"))
    first = ELSEWHERE / "answers/chat/seed0"
    assert files["answers/chat/seed0/hashes.csv"] == (first / "hashes.csv").read_bytes()
    assert files["machines.json"] == (moved.results_root / "machines.json").read_bytes()
    texts = {row["rejected"] for row in read_jsonl(first / "training.jsonl")}
    assert not any(text.encode() in content for text in texts if " " in text for content in files.values())
    # A third machine, whose answers are the first's, knows the second's from the pack.
    shutil.rmtree(moved.results_root)
    restore_progress("toy", moved.results_root)
    for job in map(find, (moved, moved), LOCAL):
        assert not is_finished(job)
        for path in list_made(job):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ELSEWHERE / path.relative_to(moved.results_root), path)
    assert check_machine(moved, "toy") == []
    assert len(read_json(moved.results_root / "machines.json")["answers"]) == 2


def test_other_answers_in_most_rows_stop_the_study(moved):
    change_answers(moved, 9)
    with pytest.raises(
        ArtifactError, match=r"at least 90% of the answers .*; run it on a machine like the first, or"
    ):
        check_machine(moved, "toy")
    assert not (moved.results_root / "machines.json").exists()


def test_other_weights_stop_the_study(moved):
    sidecar = list_made(find(moved, "merge_warm_start"))[-1]
    record = read_json(sidecar)
    record["outputs"]["results://backbones/chat/seed0/model.safetensors"] = "0" * 64
    write_json(sidecar, seal_record(record))
    with pytest.raises(
        ArtifactError, match=r"model.safetensors: expected sha256 .*, of which .* was made; found 0000"
    ):
        check_machine(moved, "toy")


def test_a_tampered_adapter_is_refused(moved):
    shutil.rmtree(moved.results_root / "backbones")
    adapter = moved.results_root / "warm_starts/chat/seed0/adapter_model.safetensors"
    content = adapter.read_bytes()
    adapter.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert run_command(harc.cli.app, find(moved, "merge_warm_start").command.split()[1:]) == 1
    assert not (moved.results_root / "backbones/chat/seed0").exists()
    with pytest.raises(ModelError, match="expected sha256 .*, as its card says; found"):
        check_adapter(find(moved, "merge_warm_start"), {})
    member = REFERENCE / "toy/warm_starts.safetensors"
    packed = member.read_bytes()
    member.write_bytes(packed[:-1] + bytes([packed[-1] ^ 1]))
    shutil.rmtree(moved.results_root)
    with pytest.raises(ArtifactError, match="warm_starts.safetensors: expected a member with sha256"):
        restore_progress("toy", moved.results_root)


def test_an_adapter_of_another_published_model_is_refused(moved):
    job = find(moved, "merge_warm_start")
    card = read_json(moved.results_root / "warm_starts/chat/seed0/card.json")
    assert check_adapter(job, {"revision": card["revision"]}) == card["warm_start"]
    with pytest.raises(ModelError, match="trained on, revision 0000.*; found revision 1111"):
        check_adapter(job, {"revision": "1" * 40})


def test_a_damaged_record_of_machines_is_a_finding(moved):
    change_answers(moved, 1)
    check_machine(moved, "toy")
    path = moved.results_root / "machines.json"
    for damage in ("{}", path.read_text().replace(": 1", ": 2", 1), path.read_text() + " ", '{"format": 1}'):
        path.write_text(damage)
        report = audit_results(moved.results_root, partial_tree=True, recompute=False)
        assert (str(path), "form") in {(finding.file, finding.kind) for finding in report.findings}


def test_a_tree_that_lacks_what_lies_elsewhere_is_of_the_committed_form(moved):
    assert record_kept(moved)
    record = read_json(moved.results_root / "kept.json")
    assert "results://adapters/chat/cast/seed0/steering.safetensors" in record["left_out"]
    report = audit_results(moved.results_root, partial_tree=True, recompute=False)
    assert report.form == WITHOUT_ANSWERS and "missing" not in {finding.kind for finding in report.findings}
    # What is absent is asked for by nothing, so that no model is trained for the audit.
    audit = create_job("audit", moved)
    gone = moved.results_root / "backbones/chat/seed0/model.safetensors"
    assert gone in list_unread_files(audit)
    gone.unlink()
    assert gone not in list_unread_files(audit)
    (moved.results_root / "kept.json").unlink()
    assert gone in list_unread_files(audit)


def test_answers_are_compared_by_file_and_kind():
    keys = ("file", "id", "group", "side", "sha256")
    first = [
        dict(zip(keys, row, strict=True))
        for row in (("f", "1", "a", "response", "x"), ("f", "2", "a", "response", "x"))
    ]
    own = [{**first[0]}, {**first[1], "id": "3"}]
    assert count_equal(first, own) == {"f": {"a response": [1, 3]}}
    assert count_equal(first, first) == {"f": {"a response": [2, 2]}}
