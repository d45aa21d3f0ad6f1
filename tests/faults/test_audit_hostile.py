"""Sidecars and files that someone else made: always findings, never a traceback, a hang, or advice that harms."""

import io
import json
import os
import shutil
from pathlib import Path

import pytest
from fixtures.audited_tree import ROOT, audit, edit_sidecar, forge, sidecar_path

from harc.audit import Finding, audit_results, print_report
from harc.audit.sidecars import LARGEST_RECORD, Sidecar, read_sidecar
from harc.audit.step import write_report
from harc.audit.step_state import describe_step
from harc.core.errors import ArtifactError
from harc.core.files import read_json
from harc.settings.profile import load_profile
from harc.steps.commands import create_job, parse_command

SCORE = sidecar_path(ROOT / "scores/toy/sft/seed0")


def find(path: Path) -> list[Finding]:
    """Findings about a file, from an audit whose report can be written and printed."""
    report = audit()
    write_report(report, Path("report"))
    assert read_json("report/audit.json")["ok"] is report.ok
    print_report(report, io.StringIO())
    return [finding for finding in report.findings if finding.file == str(path)]


BAD_JSON = {
    "too deep": "[" * 100_000,
    "an endless number": '{"format": ' + "1" * 5000 + "}",
    "a float without end": '{"format": 1e999}',
    "a lone surrogate": '{"format": "\\ud800"}',
    "NaN": '{"format": NaN}',
    "another value": "[]",
    "no text": b"\xff\xfe",
    "nothing": "",
    "a zero byte": "\0",
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_a_sidecar_that_is_no_record_is_a_finding(tree: list[Path], kind: str):
    text = BAD_JSON[kind]
    SCORE.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert [finding.kind for finding in find(SCORE)] == ["sidecar"]


@pytest.mark.parametrize("name", [SCORE.relative_to(ROOT).as_posix(), "kept.json", "root_hash.json"])
def test_a_record_too_large_to_be_one_is_not_read(tree: list[Path], name: str):
    with open(ROOT / name, "ab") as file:
        file.truncate(LARGEST_RECORD + 1)
    assert {finding.kind for finding in find(ROOT / name)} & {"sidecar", "form", "root hash"}


@pytest.mark.parametrize("field", ["versions", "outputs", "settings", "command", "seal"])
def test_a_key_given_twice_is_a_finding(tree: list[Path], field: str):
    """The last one wins in most readers, and the seal is of what they read."""
    text = SCORE.read_text()
    SCORE.write_text(text.replace("{", '{"' + field + '": {},', 1))
    (finding,) = find(SCORE)
    assert f"the key '{field}' given twice" in finding.found


def test_the_same_values_written_otherwise_are_a_finding(tree: list[Path]):
    record = read_json(SCORE)
    SCORE.write_text(json.dumps(record))
    (finding,) = find(SCORE)
    assert finding.expected == "the very form in which a step writes its sidecar"


FOREIGN = [
    "rm -rf ~",
    "harc step score; rm -rf ~",
    "harc step score --profile $(touch here)",
    "harc step score --profile ~/mine.yaml",
    "harc step score --profile toy && true",
    "harc step score --profile 'toy",
    "harc step score --profile toy --seed x",
    "harc step score --profile toy --seed 1" + "0" * 30,
    "harc step score --profile --help",
    "harc step score --profile toy --profile toy",
    "harc step score --mirror /tmp",
    "harc step score --layout x",
    "harc  step score",
    "harc step score\n",
    "harc step nothing",
    "harc step",
    "harc audit",
    "",
    "harc step score --profile `id`",
]


@pytest.mark.parametrize("command", FOREIGN)
def test_a_foreign_command_is_never_advice(tree: list[Path], command: str):
    edit_sidecar(SCORE, command=command)
    (ROOT / "scores/toy/sft/seed0/scores.csv").write_text("other")
    with pytest.raises(ArtifactError, match="expected the command of a workflow step"):
        parse_command(command)
    report = audit_results(ROOT, recompute=False)
    found = [finding for finding in report.findings if "scores/toy/sft/seed0" in finding.file]
    assert {"changed", "unknown step"} <= {finding.kind for finding in found}
    assert not any("`" in finding.repair for finding in found)


@pytest.mark.parametrize("profile", ["ci", "my studies/one.yaml", "it's.yaml", "$(id).yaml"])
def test_the_command_of_a_step_is_one_that_a_shell_reads_as_it_was_meant(profile: str):
    job = create_job("score", load_profile("ci"), backbone="organism-llama", method="harc", seed=0)
    job.profile.__dict__["source"] = profile
    step, options = parse_command(job.command)
    expected = {"profile": profile, "backbone": "organism-llama", "method": "harc", "seed": "0"}
    assert (step, options) == ("score", expected)


def test_a_command_that_makes_something_else_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    root = tmp_path / "ci"
    unit = "organism-llama/harc/seed0"
    record = {"command": "harc step score --profile ci --backbone organism-llama --method harc --seed 0"}
    assert describe_step(Sidecar(sidecar_path(root / "scores" / unit), record, {}, {}), root).code
    with pytest.raises(ArtifactError, match="expected the command that makes .*generations"):
        describe_step(Sidecar(sidecar_path(root / "generations" / unit), record, {}, {}), root)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "large file"])
def test_what_a_command_names_as_profile_is_opened_only_if_it_is_one(tree: list[Path], kind: str):
    path = Path("odd.yaml")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b" " * 2**21)
    edit_sidecar(SCORE, command="harc step score --profile odd.yaml")
    found = audit_results(ROOT, recompute=False).findings
    assert any(f.file == str(SCORE) and f.kind == "unknown step" and f.expected == "a profile" for f in found)


OUTSIDE = [
    "results://../../../etc/passwd",
    "results:///etc/passwd",
    "project://../x",
    "results://scores/./x",
    "results://scores//x",
    "sesults://scores/x",
    "results://",
    "results://a\x1b[31m",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_name_that_leads_out_of_the_tree_is_a_finding(tree: list[Path], side: str, name: str):
    edit_sidecar(SCORE, **{side: {**read_json(SCORE)[side], name: "0" * 64}})
    (finding,) = find(SCORE)
    assert finding.expected.startswith(f"{side} named as files of the tree")


def test_an_input_elsewhere_is_never_opened(tree: list[Path]):
    edit_sidecar(SCORE, inputs={**read_json(SCORE)["inputs"], "/dev/zero": "0" * 64, "/proc/kmsg": "0" * 64})
    assert {finding.kind for finding in find(ROOT / "scores/toy/sft/seed0")} == {"unlinked"}


def test_a_repair_removes_nothing_but_files_of_the_tree(tree: list[Path]):
    names = ["scores/it's; rm -rf ~.csv", "scores/a\nb.csv", "notes/mine.md", "thesis.tex"]
    for name in names:
        (ROOT / name).parent.mkdir(exist_ok=True)
        (ROOT / name).write_text("x")
    repairs = {Path(f.file).relative_to(ROOT).as_posix(): f.repair for f in audit().findings}
    assert repairs == {
        names[0]: "rm -- 'results/toy/scores/it'\"'\"'s; rm -rf ~.csv'",
        **dict.fromkeys(names[1:], "move it out of the tree"),
    }


@pytest.mark.parametrize("damage", ["gone", "cut"])
@pytest.mark.parametrize("name", ["generations/toy/sft/seed0", "figures/figure1.pdf"])
def test_results_that_lost_their_sidecar_are_not_to_be_removed(tree: list[Path], name: str, damage: str):
    sidecar = sidecar_path(ROOT / name)
    sidecar.unlink() if damage == "gone" else sidecar.write_text("{")
    orphans = [finding for finding in audit().findings if finding.kind == "orphan"]
    assert len(orphans) >= 2 and not any("rm " in finding.repair for finding in orphans)


LINKS = {
    "a unit's folder": "scores/toy/sft/seed0",
    "a kind of artifact": "generations",
    "a file": "report.html",
    "a sidecar": "scores/toy/sft/seed0.provenance.json",
}


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_in_the_tree_is_refused_wherever_it_leads(tree: list[Path], kind: str):
    path = ROOT / LINKS[kind]
    elsewhere = Path("other disk").absolute()
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)
    (finding,) = [finding for finding in find(path) if finding.kind == "link"]
    assert finding.found == f"a symbolic link to {elsewhere}"


def test_the_tree_itself_may_be_a_link(tree: list[Path]):
    shutil.move(ROOT, "other disk")
    ROOT.symlink_to(Path("other disk").absolute())
    assert audit().findings == ()


@pytest.mark.parametrize("kind", ["pipe", "loop", "broken"])
def test_odd_entries_are_findings_and_do_not_hang(tree: list[Path], kind: str):
    path = ROOT / "scores/odd"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("odd" if kind == "loop" else "nowhere")
    assert [finding.kind for finding in find(path)] == ["no file" if kind == "pipe" else "link"]


def test_a_file_that_cannot_be_read_is_a_finding(tree: list[Path], monkeypatch: pytest.MonkeyPatch):
    from harc.audit import hashes

    path, read = ROOT / "report.html", hashes.sha256_file

    def refuse(file: Path) -> str:
        if file == path:
            raise PermissionError(13, "Permission denied")
        return read(file)

    monkeypatch.setattr(hashes, "sha256_file", refuse)
    (finding,) = find(path)
    assert finding.found == "sha256 unknown: Permission denied"


def test_a_name_that_is_no_text_is_a_finding(tree: list[Path]):
    odd = Path(os.fsdecode(os.fsencode(ROOT / "scores") + b"/\xff.csv"))
    odd.write_text("x")
    report = audit()
    write_report(report, Path("report"))
    assert [finding.found for finding in report.findings] == ["a name that is not UTF-8"]


NO_RECORDS = {
    "deep": "[" * 100_000 + "\n",
    "digits": '{"id": ' + "9" * 5000 + "}\n",
    "surrogate": '{"id": "\\ud800"}\n',
    "list": "[1]\n",
    "other types": '{"id": [], "suite": {}, "prompt_sha256": 1, "messages": 2, "response": 3, "verdicts": 4}\n',
}


@pytest.mark.parametrize("kind", NO_RECORDS)
@pytest.mark.parametrize(
    "name", ["generations/toy/sft/seed0/direct.jsonl", "adapters/toy/sft/seed0/training_log.jsonl"]
)
def test_records_that_break_a_check_are_findings_even_under_a_forged_sidecar(
    tree: list[Path], name: str, kind: str
):
    path = ROOT / name
    path.write_text(NO_RECORDS[kind])
    forge(path)
    assert "content" in {finding.kind for finding in find(path)}


def test_a_sidecar_read_alone_gives_findings_and_no_more(tmp_path: Path):
    path = tmp_path / "x.provenance.json"
    path.mkdir()
    sidecar, findings = read_sidecar(path, tmp_path, tmp_path)
    assert sidecar is None and len(findings) == 1
