"""On a GPU: extraction, training and resuming agree with the CPU. Run with `pytest -m gpu`."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import build_model, load_tokenizer
from training.test_training_run import STUDY, make_extraction, make_rows, make_settings, read_log

from harc.geometry.extraction import ResponsePairs, extract_directions
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat
from harc.training import loop
from harc.training.run import train_adapter

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


@pytest.fixture(autouse=True)
def exact_matrices():
    """float32 products in float32, not TF32."""
    kept = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = kept


def place(device: str, dtype: torch.dtype) -> Backbone:
    """The tiny Llama on a device, with smaller weights than the CPU tests', which bfloat16 would blur."""
    tokenizer = load_tokenizer()
    model = build_model("Llama", initializer_range=0.08).to(device, dtype)
    return Backbone(model, tokenizer, ChatFormat(tokenizer), source="tiny-Llama")


def extract(backbone: Backbone) -> dict[str, torch.Tensor]:
    prompts, pairs = make_extraction()
    sides = [
        [row["prompt"] for row in prompts if row["category"] == side] for side in ("harmful", "harmless")
    ]
    kinds = {
        kind: [(row["prompt"], row["response"]) for row in pairs if row["kind"] == kind]
        for kind in ("harm", "refuse", "helpful")
    }
    return extract_directions(backbone, *sides, ResponsePairs(**kinds), STUDY).families


def train(backbone: Backbone, out: Path, checkpoints: Path | None = None, **changes) -> dict:
    return train_adapter(
        backbone,
        make_rows(),
        *make_extraction(),
        None,
        make_settings(**changes),
        0,
        out,
        checkpoints,
        direction_settings=STUDY,
    )


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_directions_agree_with_the_cpu(dtype: torch.dtype, share: bool, monkeypatch: pytest.MonkeyPatch):
    expected = extract(place("cpu", torch.float32))
    monkeypatch.setattr("harc.model.prepacking.LARGE", 0 if share else 10**12)
    found = extract(place("cuda", dtype))
    for name, values in expected.items():
        slots = slice(1, -1) if name.endswith("resp") else slice(1, None)  # the last response slot is zero
        cosine = (found[name][slots].cpu() * values[slots]).sum(-1)
        assert (cosine > 1 - TOLERANCES[dtype]).all(), name


def test_training_agrees_with_the_cpu(tmp_path: Path):
    for device in ("cpu", "cuda"):
        train(place(device, torch.float32), tmp_path / device)
    for ours, theirs in zip(
        *(read_log(tmp_path / name, "training_log") for name in ("cpu", "cuda")), strict=True
    ):
        for name in ("total", "kl", "ce", "couple", "couple_resp", "grad_norm"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-3, abs=1e-5), name


def test_bfloat16_training_agrees_with_float32(tmp_path: Path):
    train(place("cpu", torch.float32), tmp_path / "cpu")
    train(place("cuda", torch.bfloat16), tmp_path / "cuda")
    ours, theirs = (read_log(tmp_path / name, "training_log")[0] for name in ("cpu", "cuda"))
    for name in ("total", "ce"):
        assert theirs[name] == pytest.approx(ours[name], rel=TOLERANCES[torch.bfloat16]), name


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = {"checkpoint_every": 1, "steps": 4}
    train(place("cuda", torch.float32), tmp_path / "whole", tmp_path / "a", **settings)
    save, saved = loop._save_if_due, []

    def stop_after_two(run, accelerator, optimizer, *, last):
        save(run, accelerator, optimizer, last=last)
        saved.append(run.updates)
        if run.updates == 2 and accelerator.sync_gradients:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_save_if_due", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        train(place("cuda", torch.float32), tmp_path / "broken", tmp_path / "b", **settings)
    monkeypatch.setattr(loop, "_save_if_due", save)
    found = train(place("cuda", torch.float32), tmp_path / "broken", tmp_path / "b", **settings)
    assert found["resumed_at"] == 2
    whole, broken = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("whole", "broken"))
    for name, values in whole.items():
        torch.testing.assert_close(broken[name], values, rtol=1e-4, atol=1e-5)
