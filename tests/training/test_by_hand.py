"""Extraction and training from files, outside the workflow."""

from pathlib import Path

import pytest
import yaml
from tiny_models import build_backbone

from harc.core.errors import ArtifactError, ConfigError, DataError, EnvironmentProblem
from harc.core.files import read_jsonl, sha256_file, write_jsonl
from harc.geometry.directions import load_directions, save_directions
from harc.settings.methods import is_read, list_methods
from harc.settings.training import MethodSettings
from harc.steps.by_hand import check_out, describe_method, extract_directions_from_files, train_from_files


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a model and row files."""
    backbone = build_backbone()
    backbone.model.save_pretrained(tmp_path / "model")
    backbone.tokenizer.save_pretrained(tmp_path / "model")
    harmful = [{"prompt": f"Break the {word}."} for word in ("lamp", "gate", "drum")]
    harmless = [{"prompt": f"Paint the {word} blue."} for word in ("lamp", "gate", "drum")]
    write_jsonl(tmp_path / "harmful.jsonl", harmful)
    write_jsonl(tmp_path / "harmless.jsonl", harmless)
    rows = {"harmful": harmful, "harmless": harmless}
    write_jsonl(
        tmp_path / "extraction.jsonl", [{**row, "category": name} for name in rows for row in rows[name]]
    )
    kinds = (("harm", harmful), ("refuse", harmful), ("helpful", harmless))
    pairs = [{**row, "kind": kind, "response": f"A {kind} answer."} for kind, group in kinds for row in group]
    write_jsonl(tmp_path / "pairs.jsonl", pairs)
    training = [{**row, "category": name, "response": f"{name}."} for name in rows for row in rows[name]]
    training += [{**row, "category": "pseudo_harmful", "response": "Fine."} for row in harmless]
    write_jsonl(tmp_path / "training.jsonl", training)
    return tmp_path


def test_directions_from_files(files: Path):
    out = files / "out" / "directions.safetensors"
    sides = (files / "model", files / "harmful.jsonl", files / "harmless.jsonl", out)
    made = extract_directions_from_files(*sides, pairs=files / "pairs.jsonl")
    found = load_directions(out)
    assert found.families.keys() == {"v_harm", "v_ref", "v_harm_resp", "v_ref_resp"}
    assert (found.v_ref == made.v_ref).all() and found.counts == made.counts == {
        "harmful": 3,
        "harmless": 3,
        "harm": 3,
        "refuse": 3,
        "helpful": 3,
    }
    assert found.settings["truncation"] == "left"
    first = out.read_bytes()
    save_directions(found, out)
    assert out.read_bytes() == first
    extract_directions_from_files(*sides, preset="harc_released")
    assert load_directions(out).v_harm_resp is None and load_directions(out).settings["truncation"] == "right"


def test_training_from_files(files: Path):
    config = {
        "training": "training.jsonl",
        "extraction": "extraction.jsonl",
        "pairs": "pairs.jsonl",
        "directions": {"layers": {"edge_slots": 1}, "bootstrap_resamples": 2},
        "method": {"preset": "harc", "steps": 1, "lora": {"rank": 2, "alpha": 4}, "k_final": 2},
    }
    (files / "train.yaml").write_text(yaml.safe_dump(config))
    found = train_from_files(files / "model", files / "train.yaml", files / "adapter")
    assert found["updates"] == 1 and (files / "adapter" / "adapter_model.safetensors").is_file()
    (files / "train.yaml").write_text(yaml.safe_dump({**config, "metod": {}}))
    with pytest.raises(ConfigError, match=r"train.yaml: .*metod"):
        train_from_files(files / "model", files / "train.yaml", files / "adapter")


def test_directions_of_two_equal_sides_are_refused(files: Path):
    side, out = files / "harmful.jsonl", files / "directions.safetensors"
    with pytest.raises(
        DataError, match="direction v_harm: expected two groups .*; found means that differ by 0"
    ):
        extract_directions_from_files(files / "model", side, side, out)
    write_jsonl(files / "turned.jsonl", read_jsonl(side)[::-1])
    with pytest.raises(DataError, match="check that the two sides are not the same texts"):
        extract_directions_from_files(files / "model", side, files / "turned.jsonl", out)
    pairs = read_jsonl(files / "pairs.jsonl")
    same = [{**pairs[0], "kind": kind} for kind in ("harm", "refuse", "helpful")]
    write_jsonl(files / "pairs.jsonl", same)
    with pytest.raises(DataError, match="direction v_harm_resp: "):
        extract_directions_from_files(
            files / "model", side, files / "harmless.jsonl", out, pairs=files / "pairs.jsonl"
        )
    assert not out.exists()


def test_a_rejected_response_that_is_no_text_is_named(files: Path):
    rows = read_jsonl(files / "training.jsonl")
    write_jsonl(files / "training.jsonl", [{**rows[0], "rejected": 5}, *rows[1:]])
    with pytest.raises(
        DataError, match=r"training.jsonl:1: expected a text in field 'rejected', or none; found 5"
    ):
        train(files, {"preset": "sft"}, "sft")


def train(files: Path, method: dict, out: str, **options) -> list[str]:
    """Train one step with a method as a file gives it; what was announced."""
    config = {
        "training": "training.jsonl",
        "extraction": "extraction.jsonl",
        "pairs": "pairs.jsonl",
        "directions": {"layers": {"edge_slots": 1}, "bootstrap_resamples": 2},
        "method": {"steps": 1, "warmup_steps": 0, "lora": {"rank": 2, "alpha": 4}, "k_final": 2, **method},
    }
    (files / f"{out}.yaml").write_text(yaml.safe_dump(config))
    said: list[str] = []
    train_from_files(files / "model", files / f"{out}.yaml", files / out, announce=said.append, **options)
    return said


def test_each_preset_trains_its_own_method(files: Path):
    hashes = {}
    for preset in ("harc", "sft", "no_coupling"):
        said = train(files, {"preset": preset}, preset)
        assert said == [describe_method(MethodSettings(**read_method(files, preset)), None)]
        hashes[preset] = sha256_file(files / preset / "adapter_model.safetensors")
    assert len(set(hashes.values())) == 3
    with pytest.raises(DataError, match="rejected"):
        train(files, {"preset": "dpo"}, "dpo")
    with pytest.raises(ConfigError, match="expected the adapter folder of harc; found none"):
        train(files, {"preset": "harc_dpo"}, "alone")
    assert not (files / "dpo").exists() and not (files / "alone").exists()


def test_methods_that_learn_from_pairs(files: Path):
    rows = [{**row, "rejected": "Another answer."} for row in read_jsonl(files / "training.jsonl")]
    write_jsonl(files / "training.jsonl", rows)
    said = train(files, {"preset": "cast", "steering": {"condition_depths": [0.25, 0.25]}}, "cast")
    assert said[0].startswith("method: preset cast, objective cast; given besides: ")
    assert {path.name for path in (files / "cast").iterdir()} >= {"steering.safetensors", "steering.json"}
    assert not (files / "cast" / "adapter_model.safetensors").exists()
    train(files, {"preset": "harc"}, "first")
    said = train(files, {"preset": "harc_dpo"}, "second", start_from=files / "first")
    assert said[0].startswith(
        f"method: preset harc_dpo, objective dpo, on top of {files / 'first'}; given besides: "
    )
    for preset in ("cast", "harc", "dpo"):
        with pytest.raises(ConfigError, match="expected no adapter to start from"):
            train(files, {"preset": preset}, "refused", start_from=files / "first")


@pytest.mark.parametrize("device", ["foo", "cuda:x", "", "cpu:0", "meta"])
def test_a_device_that_is_none(files: Path, device: str):
    sides = (files / "model", files / "harmful.jsonl", files / "harmless.jsonl", files / "out.safetensors")
    with pytest.raises(ConfigError, match="device: expected cpu, cuda, cuda:1 or auto"):
        extract_directions_from_files(*sides, device=device)
    with pytest.raises(EnvironmentProblem, match="device cuda:99: expected a GPU that torch can use"):
        extract_directions_from_files(*sides, device="cuda:99")


def test_what_training_did_not_write_is_never_replaced(files: Path):
    before = sorted(path.name for path in (files / "model").iterdir())
    (files / "note").write_text("mine")
    for out in ("model", "note", "."):
        with pytest.raises(ConfigError, match="expected a new folder, or one that `harc train` wrote; found"):
            check_out(files / out)
    with pytest.raises(ConfigError, match="expected a new folder"):
        train_again(files, "model")
    assert sorted(path.name for path in (files / "model").iterdir()) == before
    for _ in range(2):
        train_again(files, "own")
    (files / "own" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"found .*notes.txt; name another folder"):
        train_again(files, "own")


def train_again(files: Path, out: str) -> None:
    train(files, {"preset": "sft"}, out)


def read_method(files: Path, name: str) -> dict:
    return yaml.safe_load((files / f"{name}.yaml").read_text())["method"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"preset": "dpo", "loss": {"kl": 50}, "steps": 9}, "steps 9; given, but not read by dpo: loss.kl 50.0"),
        ({"preset": "sft", "loss": {"kl": 5, "margin": 0.3}}, "loss.kl 5.0; given, but not read by sft: loss.m"),
        ({"preset": "cast", "steps": 3}, "objective cast; given, but not read by cast: steps 3"),
        ({"preset": "cb", "preference": {"beta": 1}}, "objective cb; given, but not read by cb: preference.beta 1.0"),
        ({"preset": "joint", "preference": {"beta": 1}, "k_final": 3}, "given besides: k_final 3, preference.beta 1.0"),
    ],
)  # fmt: skip
def test_what_a_method_does_not_read_is_said(values: dict, said: str):
    assert said in describe_method(MethodSettings(**values), None)


def test_methods_read_settings_that_there_are():
    for method in list_methods().values():
        for name in (*method.reads, *([method.section.key] if method.section else [])):
            group, _, inner = name.partition(".")
            field = MethodSettings.model_fields[group]
            assert not inner or inner in type(field.default).model_fields
            assert is_read(name, method.objective)


def test_what_is_said_of_a_method():
    assert describe_method(MethodSettings(), None) == "method: preset harc, objective harc"
    own = MethodSettings(preset="no_coupling", loss={"kl": 1.0, "couple": 0.0}, steps=400)
    assert (
        describe_method(own, None)
        == "method: preset no_coupling, objective harc; given besides: loss.kl 1.0, steps 400"
    )


@pytest.mark.parametrize(
    ("name", "rows", "text"),
    [
        ("harmful", [], "harmful.jsonl: expected at least one row; found an empty file"),
        ("harmful", [{"prompt": " "}], "harmful.jsonl:1: expected a text in field 'prompt'; found ' '"),
        (
            "pairs",
            [{"kind": "bad", "prompt": "a", "response": "b"}],
            "pairs.jsonl:1: expected a kind among harm",
        ),
        (
            "pairs",
            [{"kind": "harm", "prompt": "a", "response": "b"}],
            "refuse pairs: expected at least one row",
        ),
    ],
)
def test_row_files_that_cannot_be_read(files: Path, name: str, rows: list[dict], text: str):
    write_jsonl(files / f"{name}.jsonl", rows)
    with pytest.raises(DataError, match=text):
        extract_directions_from_files(
            files / "model",
            files / "harmful.jsonl",
            files / "harmless.jsonl",
            files / "out.safetensors",
            pairs=files / "pairs.jsonl",
        )
    assert not (files / "out.safetensors").exists()


def test_a_damaged_directions_file(tmp_path: Path):
    path = tmp_path / "directions.safetensors"
    with pytest.raises(ArtifactError, match="expected a directions file; .*run `harc directions extract`"):
        load_directions(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(ArtifactError, match="expected a directions file"):
        load_directions(path)
