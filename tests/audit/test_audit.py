"""What the audit asks of tensors, layer choices, adapters, records and sidecars; how it reports."""

import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fixtures.audited_tree import make_directions
from safetensors.numpy import save_file

from harc.audit.content import find_missing_companions
from harc.audit.records import check_fetched_source, check_log, check_records, check_selected
from harc.audit.report import AuditReport, Finding, print_report, render_page
from harc.audit.sidecars import Sidecar, read_sidecar
from harc.audit.step_state import describe_step
from harc.audit.tensors import (
    check_adapter,
    check_directions,
    check_layers,
    check_projections,
    compare_choice,
    read_tensors,
)
from harc.core.artifacts import Layout, sidecar_path
from harc.core.errors import ArtifactError, DataError
from harc.core.files import write_json, write_jsonl
from harc.core.provenance import record_step, seal_record
from harc.settings.profile import load_profile
from harc.steps.files import list_expected_sidecars
from harc.steps.running import hash_settings


@pytest.fixture
def directions() -> dict[str, np.ndarray]:
    return make_directions(np.random.default_rng(0))


def test_sound_directions_pass(directions: dict):
    assert list(check_directions(directions)) == []


def spoil(tensors: dict, name: str, value: np.ndarray | None) -> dict:
    return {key: array for key, array in (tensors | {name: value}).items() if array is not None}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "v_harm",
            lambda v: np.where(np.arange(5)[:, None] == 2, np.nan, v).astype(np.float32),
            "finite values in v_harm",
        ),
        ("v_ref", lambda v: v * np.float32(1.001), "v_ref with rows of length 1 or 0"),
        ("v_ref", lambda v: v[:-1], "v_ref float32 of shape (5, 8)"),
        ("v_ref_resp", lambda v: v.astype(np.float64), "v_ref_resp float32"),
        ("v_harm", lambda v: None, "the tensors v_harm and v_ref"),
        ("norm_v_ref", lambda v: -v, "norm_v_ref of shape (5,), not negative"),
        ("count_harmful", lambda v: v * 0, "count_harmful of at least 1"),
        ("bootstrap_cos.lo", lambda v: v + 1, "bootstrap_cos.lo at most bootstrap_cos.hi"),
    ],
)
def test_unsound_directions_are_named(directions: dict, name: str, change, message: str):
    problems = list(check_directions(spoil(directions, name, change(directions[name]))))
    assert problems
    assert message in problems[0][0]


LAYERS = {"scores": [None, 0.1, 0.4, 0.2, None], "eligible": [1, 3], "selected": [2, 3], "k": 2}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"selected": [3, 4]}, "slots within 1..3"),
        ({"selected": [3, 2]}, "2 distinct slots, ascending"),
        ({"k": 3}, "3 distinct slots"),
        ({"scores": [0.1]}, "one finite score or null per slot"),
        ({"eligible": None}, "scores, eligible (two slots), selected and k"),
    ],
)
def test_layer_choices(change: dict, message: str | None):
    problems = [expected for expected, _ in check_layers(LAYERS | change)]
    assert (problems == []) if message is None else message in problems[0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"r": 2, "target_modules": ["q_proj"]}, None),
        ({"r": 4, "target_modules": ["q_proj"]}, "rank 4 in"),
        ({"r": 2, "target_modules": ["up_proj"]}, "tensors of up_proj"),
    ],
)
def test_adapters(config: dict, message: str | None):
    tensors = {"m.q_proj.lora_A.weight": np.ones((2, 8)), "m.q_proj.lora_B.weight": np.ones((8, 2))}
    problems = [expected for expected, _ in check_adapter(tensors, config)]
    assert (problems == []) if message is None else message in problems[0]


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"rank": 2, "targets": ["q_proj"]}, None),
        ({"rank": 4, "targets": ["q_proj"]}, "rank 4, as configured"),
        ({"rank": 2, "targets": ["up_proj"]}, "modules up_proj, as configured"),
        ({"rank": 2, "targets": ["all-linear"]}, None),
    ],
)
def test_adapters_against_the_settings(lora: dict, message: str | None):
    tensors = {"m.q_proj.lora_A.weight": np.ones((2, 8))}
    config = {"r": 2, "target_modules": ["q_proj"]}
    problems = [expected for expected, _ in check_adapter(tensors, config, lora)]
    assert problems == ([] if message is None else [message])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"selected": [1, 2]}, "selected [2, 3]"),
        ({"eligible": [0, 3]}, "eligible [1, 3]"),
        ({"scores": [None, 0.1, 0.4, 0.21, None]}, "score 0.2 at slot 3"),
    ],
)
def test_a_choice_of_layers_follows_from_the_directions(change: dict, message: str | None):
    problems = [expected for expected, _ in compare_choice(LAYERS | change, LAYERS)]
    assert (problems == []) if message is None else problems[0].startswith(message)


@pytest.mark.parametrize(
    ("cosines", "message"),
    [
        (np.zeros((3, 2)), None),
        (np.zeros((2, 2)), "inst_harm with 3 rows"),
        (np.full((3, 2), 1.5), "cosines in inst_harm"),
        (np.array([[np.nan, 0], [0, 0], [0, 0]]), "inst_harm without single missing cosines"),
    ],
)
def test_projections(cosines: np.ndarray, message: str | None):
    problems = [expected for expected, _ in check_projections({"inst_harm": cosines}, 3)]
    assert (problems == []) if message is None else problems[0].startswith(message)


def test_an_empty_response_has_no_cosine_and_that_is_sound():
    cosines = np.array([[np.nan, np.nan], [0, 0]])
    assert list(check_projections({"resp_harm": cosines}, 2)) == []


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"step": 0, "total": 1.0}, {"step": 1, "total": 0.5}], None),
        ([], "at least one row"),
        ([{"step": 1}, {"step": 0}], "steps in order at line 2"),
    ],
)
def test_training_logs(tmp_path: Path, rows: list[dict], message: str | None):
    write_jsonl(tmp_path / "training_log.jsonl", rows)
    problems = [expected for expected, _ in check_log(tmp_path / "training_log.jsonl")]
    assert problems == ([] if message is None else [message])


def test_a_log_with_nan_is_found(tmp_path: Path):
    (tmp_path / "log.jsonl").write_text('{"step": 0, "total": NaN}\n')
    with pytest.raises(DataError, match="log.jsonl:1: .*NaN"):
        list(check_log(tmp_path / "log.jsonl"))


def test_layers_trained_on_lie_in_the_band(tmp_path: Path):
    write_jsonl(tmp_path / "s.jsonl", [{"step": 0, "k": 2, "selected": [2, 3]}])
    assert list(check_selected(tmp_path / "s.jsonl", (1, 3))) == []
    assert next(iter(check_selected(tmp_path / "s.jsonl", (3, 4))))[0] == "slots within 3..4 in line 1"


HUB = {"kind": "hub", "model_id": "lab/chat", "revision": "a" * 40}


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        (HUB, {"kind": "hub", "model_id": "lab/chat", "revision": "main"}, None),
        (HUB | {"revision": "main"}, HUB, "the revision as a commit of 40 hexadecimal digits"),
        (HUB, HUB | {"revision": "b" * 40}, f"revision {'b' * 40}, as configured"),
        (HUB, HUB | {"model_id": "lab/other"}, "model lab/other, as configured"),
        ({"kind": "gguf", "gguf_sha256": "a"}, {"kind": "gguf", "gguf": {"sha256": "a"}}, None),
        (
            {"kind": "gguf", "model_id": "chat==1", "gguf_sha256": "a"},
            {"kind": "gguf", "gguf": {"sha256": "b"}},
            "a GGUF file with sha256 b, as configured",
        ),
    ],
)
def test_a_fetched_model_is_the_one_that_was_asked_for(source: dict, settings: dict, message: str | None):
    problems = [expected for expected, _ in check_fetched_source(source, settings)]
    assert problems == ([] if message is None else [message])


def make_record(number: int, suite: str = "direct") -> dict:
    return {
        "id": f"r{number}",
        "suite": suite,
        "prompt_sha256": "",
        "messages": [],
        "response": "",
        "verdicts": {},
    }


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([make_record(0), make_record(1)], None),
        ([make_record(0)], "one record for each of the 2 rows"),
        ([make_record(0), make_record(0)], "one record for each of the 2 rows"),
        ([make_record(0), make_record(1, "pap")], "records of suite direct"),
        ([{"id": "r0"}], "the fields id, suite"),
    ],
)
def test_generation_records(tmp_path: Path, records: list[dict], message: str | None):
    write_jsonl(tmp_path / "direct.jsonl", records)
    problems, *_ = check_records(tmp_path / "direct.jsonl", {"direct": Counter(["r0", "r1"])})
    assert (problems == []) if message is None else message in problems[0][0]


def test_half_precision_weights_are_read(tmp_path: Path):
    import torch
    from safetensors.torch import save_file as save_torch

    save_torch({"w": torch.tensor([1.0, float("inf")], dtype=torch.bfloat16)}, tmp_path / "a.safetensors")
    assert np.isinf(read_tensors(tmp_path / "a.safetensors")["w"][1])
    save_file({"w": np.ones(2, np.float32)}, tmp_path / "b.safetensors")
    assert read_tensors(tmp_path / "b.safetensors")["w"].tolist() == [1, 1]


@pytest.fixture
def sidecar(tmp_path: Path) -> Path:
    options = {"command": "harc step score", "inputs": [], "code": "", "settings": {}}
    options["settings_hash"] = hash_settings({})
    with record_step(tmp_path / "out", results_root=tmp_path, **options):
        (tmp_path / "out").write_text("x")
    return sidecar_path(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": 7}, "the seal"),
        ({"settings": {"steps": 1}}, "the seal"),
        ({"outputs": {"results://out": "short"}}, "sha256 digests in outputs"),
        ({"format": 2}, "format 1"),
        ({"inputs": []}, "inputs of type"),
    ],
)
def test_edited_sidecars(tmp_path: Path, sidecar: Path, change: dict, expected: str):
    from harc.core.files import read_json

    assert read_sidecar(sidecar, tmp_path, tmp_path)[1] == []
    write_json(sidecar, read_json(sidecar) | change)
    findings = read_sidecar(sidecar, tmp_path, tmp_path)[1]
    assert findings[0].expected.startswith(expected)


def test_settings_under_the_hash_of_others_are_found_whatever_the_seal(tmp_path: Path, sidecar: Path):
    from harc.core.files import read_json

    write_json(sidecar, seal_record(read_json(sidecar) | {"settings": {"steps": 1}}))
    findings = read_sidecar(sidecar, tmp_path, tmp_path)[1]
    assert findings[0].expected.startswith("settings_hash ")


def test_a_sidecar_of_another_place_is_found(tmp_path: Path, sidecar: Path):
    from harc.core.files import read_json

    write_json(sidecar, seal_record(read_json(sidecar) | {"outputs": {"results://other": "0" * 64}}))
    assert "an output at" in read_sidecar(sidecar, tmp_path, tmp_path)[1][0].expected


@pytest.mark.parametrize("command", ["rm -rf x", "harc step", "harc step score --profile"])
def test_a_foreign_command_is_no_step(tmp_path: Path, sidecar: Path, command: str):
    from harc.core.files import read_json

    write_json(sidecar, seal_record(read_json(sidecar) | {"command": command}))
    found, _ = read_sidecar(sidecar, tmp_path, tmp_path)
    with pytest.raises(ArtifactError, match="expected the command of a workflow step"):
        describe_step(found, tmp_path)


FINDING = Finding("results/x.csv", "changed", "sha256 aa", "sha256 \x1b[31mbb", "run `harc step score`")


def test_summary_shows_findings_without_obeying_them():
    stream = io.StringIO()
    print_report(AuditReport("results", "f" * 64, {"sidecars": 3}, (FINDING,)), stream)
    text = stream.getvalue()
    assert "\x1b[31m" not in text
    assert (
        "changed: results/x.csv: expected sha256 aa; found sha256 \\x1b[31mbb; run `harc step score`" in text
    )
    assert f"1 findings; root hash {'f' * 64}" in text


def test_the_page_escapes_what_an_artifact_may_hold_and_asks_for_nothing():
    evil = Finding("results/<script>x</script>", "changed", "a & b", "\x1b[31m<img src=http://x>", "run `y`")
    page = render_page(AuditReport("results", "f" * 64, {"sidecars": 3}, (FINDING, evil)))
    assert "&lt;script&gt;x&lt;/script&gt;" in page
    assert "<script" not in page and "<img" not in page and "\x1b" not in page
    assert not re.search(r"<[^>]*\b(src|href)=(?!.data:)", page)
    assert "2 findings" in page and "f" * 64 in page and "run `harc step score`" in page
    assert "Sound" in render_page(AuditReport("results", "f" * 64))


def test_summary_of_a_sound_tree():
    stream = io.StringIO()
    print_report(AuditReport("results/[/red]", "f" * 64), stream)
    assert "sound; root hash" in stream.getvalue() and "Audit of results/[/red]" in stream.getvalue()


def test_remarks_are_shown_escaped_and_are_no_findings():
    report = AuditReport("results", "f" * 64, form="without weights", remarks=("torch \x1b[31m<b>1</b>",))
    stream = io.StringIO()
    print_report(report, stream)
    assert "remark: torch \\x1b[31m<b>1</b>\n" in stream.getvalue() and "\x1b[31m" not in stream.getvalue()
    assert "sound (without weights); root hash" in stream.getvalue()
    page = render_page(report)
    assert "&lt;b&gt;1&lt;/b&gt;" in page and "(without weights)" in page and "\x1b" not in page
    assert report.ok and report.as_json()["remarks"] == list(report.remarks)


def test_a_finding_can_always_be_written():
    finding = Finding("results/\udcff", "orphan", "a", "\ud800", "c")
    assert finding.file.encode() and finding.found.encode()


def test_every_artifact_of_a_profile_is_expected(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    profile = load_profile("ci")
    expected = list_expected_sidecars(profile, Layout(Path("results/ci")))
    models, methods = len(profile.backbones) * len(profile.seeds), len(profile.methods)
    arms, families = len(profile.list_arm_units()), len(profile.families.backbones)
    traced = len(profile.list_traced_units())
    finetuned = sum(len(profile.list_finetuned_units(own)) for own in (profile.finetuning, profile.erosion))
    assert arms and families and traced and finetuned
    of_models = models * (2 + methods + 2 * (methods + 1)) + 3 * arms + 2 * families + traced + finetuned
    # Rows, contamination, tables, compute, root hash, report.
    assert len(set(expected)) == 6 + len(profile.figures) + of_models
    assert Path("results/ci/tables.provenance.json") in expected


@pytest.mark.parametrize(("kind", "asked"), [("scores", ["outcomes.csv"]), ("helpfulness", [])])
def test_scores_of_benchmarks_need_no_outcomes_beside_them(kind: str, asked: list[str]):
    folder = Path(f"results/toy/{kind}/b/m/seed0")
    name = f"results://{kind}/b/m/seed0/scores.csv"
    sidecar = Sidecar(
        folder.with_name("seed0.provenance.json"), {"command": "x"}, {}, {name: folder / "scores.csv"}
    )
    assert [Path(finding.file).name for finding in find_missing_companions(sidecar)] == asked
