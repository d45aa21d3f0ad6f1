"""Single seeded faults in a small results tree: the audit finds every one, and none where there is none."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.audited_tree import DATA, ROOT, describe, forge, sidecar_path

from harc.audit import AuditReport, audit_results
from harc.audit.sidecars import Sidecar
from harc.core.files import read_json, write_json
from harc.core.provenance import seal_record


def audit(sidecars: list[Path], *, recompute: bool = False) -> AuditReport:
    return audit_results(ROOT, expected=sidecars, describe=describe, recompute=recompute)


def list_results() -> list[Path]:
    """Every file that is a result or a sidecar."""
    files = [path for path in sorted(ROOT.rglob("*")) if path.is_file()]
    return [path for path in files if path.parts[2] not in ("logs", "checkpoints")]


def flip_bit(path: Path, generator: np.random.Generator) -> list[Path]:
    data = bytearray(path.read_bytes())
    data[generator.integers(len(data))] ^= 1 << int(generator.integers(8))
    path.write_bytes(data)
    return [path]


def truncate(path: Path, generator: np.random.Generator) -> list[Path]:
    os.truncate(path, int(generator.integers(path.stat().st_size)))
    return [path]


def delete(path: Path, generator: np.random.Generator) -> list[Path]:
    path.unlink()
    return [path]


def edit_by_hand(path: Path, generator: np.random.Generator) -> list[Path]:
    data = bytearray(path.read_bytes())
    digits = [index for index, byte in enumerate(data) if chr(byte).isdigit()]
    index = digits[generator.integers(len(digits))] if digits else int(generator.integers(len(data)))
    data[index] = ord("0") + (data[index] - ord("0") + 1) % 10
    path.write_bytes(data)
    return [path]


def swap(path: Path, generator: np.random.Generator) -> list[Path]:
    """Exchange a file with a namesake of other content, or else with any other file."""
    others = [other for other in list_results() if other.read_bytes() != path.read_bytes()]
    namesakes = [other for other in others if other.name == path.name]
    other = (namesakes or others)[generator.integers(len(namesakes or others))]
    ours, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(ours)
    return [path, other]


def add_beside(path: Path, generator: np.random.Generator) -> list[Path]:
    extra = path.with_name(f"extra-{path.name}")
    shutil.copyfile(path, extra)
    return [extra]


FAULTS: list[Callable] = [flip_bit, truncate, delete, edit_by_hand, swap, add_beside]


def test_a_sound_tree_has_no_findings(tree: list[Path]):
    report = audit(tree, recompute=True)
    assert report.findings == ()
    assert report.counts["sidecars"] == 19
    assert report.counts["steps recomputed"] == 5
    assert report.counts["generation records"] == report.counts["prompt hashes"] == 72
    assert report.counts["layer choices recomputed"] == 4


def test_a_copy_with_other_dates_is_sound_and_has_the_same_hash(tree: list[Path]):
    before = audit(tree).root_hash
    for path in Path().rglob("*"):
        os.utime(path, (0, 0))
    report = audit(tree)
    assert report.findings == ()
    assert report.root_hash == before


def restore(paths: list[Path], origin: Path) -> None:
    """Put the sound tree's files back in place of the given ones."""
    for path in paths:
        if (origin / path).is_file():
            shutil.copyfile(origin / path, path)
        else:
            path.unlink(missing_ok=True)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_campaign(
    sound: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable
):
    """Each kind of fault on every second file, so three kinds a file: found, by the file's own name."""
    shutil.copytree(sound[0], tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    files, turn = list_results(), FAULTS.index(fault)
    for number, name in list(enumerate(files))[turn % 2 :: 2]:
        touched = fault(name, np.random.default_rng([turn, number]))
        report = audit(sound[1])
        named = {finding.file for finding in report.findings}
        assert {str(path) for path in touched} <= named, f"{fault.__name__} of {name}: only {named} named"
        assert all(finding.repair for finding in report.findings)
        restore(touched, sound[0])
    assert audit(sound[1]).findings == ()
    kinds = {path.relative_to(ROOT).parts[0].split(".")[0] for path in files}
    assert kinds == {
        *("adapters", "backbones", "data", "directions", "figures", "generations"),
        *("report", "root_hash", "scores", "tables"),
    }
    assert len(files) * len(FAULTS) // 2 >= 200


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["scores.csv", "outcomes.csv", "all.csv", "numbers.tex"])
def test_an_edited_number_is_recomputed_even_under_a_forged_sidecar(tree: list[Path], name: str, seed: int):
    generator = np.random.default_rng(seed)
    files = sorted(ROOT.rglob(name))
    path = files[generator.integers(len(files))]
    edit_by_hand(path, generator)
    forge(path)
    found = [finding for finding in audit(tree, recompute=True).findings if finding.file == str(path)]
    assert [finding.kind for finding in found] == ["recomputed"]
    assert "as recomputed" in found[0].expected


@pytest.mark.parametrize("kind", ["generations", "adapters", "backbones", "directions"])
def test_a_forged_artifact_shows_in_what_was_made_from_it(tree: list[Path], kind: str):
    path = next(
        path for path in list_results() if path.parts[2] == kind and path.suffix in (".jsonl", ".safetensors")
    )
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    forge(path)
    assert "input changed" in {finding.kind for finding in audit(tree).findings}


def test_an_adapter_of_another_seed_with_its_sidecar_is_out_of_place(tree: list[Path]):
    ours, theirs = (ROOT / "adapters" / "toy" / "sft" / f"seed{seed}" for seed in (0, 1))
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)
    shutil.copyfile(sidecar_path(theirs), sidecar_path(ours))
    found = {finding.file: finding for finding in audit(tree).findings if finding.kind == "sidecar"}
    assert f"an output at {ours}" in found[str(sidecar_path(ours))].expected


def test_a_removed_leaf_is_missed_where_it_is_expected(tree: list[Path]):
    (ROOT / "report.html").unlink()
    sidecar_path(ROOT / "report.html").unlink()
    assert [finding.kind for finding in audit(tree).findings] == ["missing"]


def test_a_chain_that_ends_in_an_ignored_file_is_reported(tree: list[Path]):
    sidecar = sidecar_path(ROOT / "data" / "verified.json")
    record = read_json(sidecar)
    del record["outputs"]["project://data/toy/training.jsonl"]
    write_json(sidecar, seal_record(record))
    for command in (["init", "-q"], ["config", "core.excludesFile", "/dev/null"]):
        subprocess.run(["git", *command], check=True)
    Path(".gitignore").write_text("/data\n")
    found = [finding for finding in audit(tree).findings if finding.kind == "unlinked"]
    assert {finding.file for finding in found} == {
        f"results/toy/adapters/toy/sft/seed{seed}" for seed in (0, 1)
    }
    # The twin: a file that the project holds is a beginning like any other.
    Path(".gitignore").write_text("")
    assert "unlinked" not in {finding.kind for finding in audit(tree).findings}


@pytest.mark.parametrize(
    "step", ["train_backbone", "extract_directions", "train_adapter", "evaluate", "score", "make_tables"]
)
@pytest.mark.parametrize(("field", "kind"), [("code", "stale code"), ("settings_hash", "stale settings")])
def test_changed_code_and_settings_make_a_step_stale(tree: list[Path], step: str, field: str, kind: str):
    def describe_changed(sidecar: Sidecar, root: Path):
        state = describe(sidecar, root)
        return replace(state, **{field: "other"}) if f" {step} " in sidecar.command else state

    report = audit_results(ROOT, expected=tree, describe=describe_changed, recompute=True)
    assert {finding.kind for finding in report.findings} == {kind}
    assert all(f"harc step {step} --profile toy" in finding.repair for finding in report.findings)


def test_changed_rows_are_reported_once_where_they_are(tree: list[Path]):
    path = DATA / "evaluation.jsonl"
    path.write_text(path.read_text().replace("direct-0", "direct-9"))
    assert [(finding.file, finding.kind) for finding in audit(tree).findings] == [(str(path), "changed")]


def test_other_rows_make_what_was_made_from_them_stale(tree: list[Path]):
    path = DATA / "evaluation.jsonl"
    path.write_text(path.read_text().replace("direct-0", "direct-9"))
    forge(path)
    stale = {finding.file for finding in audit(tree).findings if finding.kind == "input changed"}
    assert stale == {
        *(f"results/toy/backbones/toy/seed{seed}" for seed in (0, 1)),
        *(
            f"results/toy/generations/toy/{method}/seed{seed}"
            for method in ("base", "sft")
            for seed in (0, 1)
        ),
    }


def test_two_sidecars_may_not_claim_one_file(tree: list[Path]):
    ours, theirs = (sidecar_path(ROOT / "scores" / "toy" / "sft" / f"seed{seed}") for seed in (0, 1))
    record = read_json(ours)
    record["outputs"] |= read_json(theirs)["outputs"]
    write_json(ours, seal_record(record))
    assert "claimed twice" in {finding.kind for finding in audit(tree).findings}


def test_a_step_that_reads_more_than_it_declares_cannot_be_recomputed(tree: list[Path]):
    sidecar = sidecar_path(ROOT / "tables")
    record = read_json(sidecar)
    hidden = next(name for name in record["inputs"] if "/sft/" in name)
    del record["inputs"][hidden]
    write_json(sidecar, seal_record(record))

    (finding,) = [finding for finding in audit(tree, recompute=True).findings if finding.kind == "recomputed"]
    assert finding.file == str(ROOT / "tables")
    assert finding.expected == "the step to run on its inputs" and "No such file" in finding.found


def test_report_is_plain_and_has_no_machine_in_it(tree: list[Path]):
    (ROOT / "scores" / "toy" / "sft" / "seed0" / "scores.csv").unlink()
    text = json.dumps(audit(tree).as_json())
    assert str(Path.cwd()) not in text
    assert "run `harc step score --profile toy --backbone toy --method sft --seed 0`" in text
