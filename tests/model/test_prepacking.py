"""Linear layers on weights that are laid out once give what they give, and are themselves again afterwards."""

import pytest
import torch
from tiny_models import build_model

from harc.model import prepacking
from harc.model.bfloat16 import multiplies_bfloat16
from harc.model.prepacking import prepack_linears


@pytest.fixture(autouse=True)
def take_all_for_large(monkeypatch):
    monkeypatch.setattr(prepacking, "LARGE", 0)


def make_layers() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(48, 40), torch.nn.Linear(40, 24, bias=False)).requires_grad_(
        False
    )


IN_BFLOAT16 = pytest.mark.skipif(
    not multiplies_bfloat16(), reason="oneDNN takes no bfloat16 on a CPU without instructions for it"
)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), pytest.param(torch.bfloat16, 2e-2, marks=IN_BFLOAT16)]
)
def test_layers_give_the_same_up_to_rounding(dtype, tolerance):
    layers = make_layers().to(dtype)
    rows = torch.randn(2, 5, 48, dtype=dtype)
    expected = layers(rows)
    with prepack_linears(layers) as count:
        found = layers(rows)
        assert "forward" in layers[0].__dict__
    if dtype is torch.float32:
        assert count == 2
    assert found.dtype is dtype and torch.allclose(found, expected, atol=tolerance)
    assert all("forward" not in part.__dict__ for part in layers) and torch.equal(layers(rows), expected)


def test_model_gives_the_same_logits():
    model = build_model("Qwen2")
    ids = torch.arange(12)[None] + 5
    expected = model(ids).logits
    with prepack_linears(model) as count, torch.inference_mode():
        found = model(ids).logits
    assert count == 7 * 5 + 1
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_small_models_are_left_alone(monkeypatch):
    monkeypatch.setattr(prepacking, "LARGE", 10_000)
    with prepack_linears(make_layers()) as count:
        assert count == 0


def test_layer_whose_forward_was_replaced_is_left_alone():
    layers = make_layers()
    layers[0].forward = lambda rows: rows[..., :40]
    with prepack_linears(layers) as count:
        assert count == 1
    assert "forward" in layers[0].__dict__


@pytest.mark.parametrize("fault", ["wrong", "absent"])
def test_operator_that_is_wrong_or_absent_leaves_layers_as_they_are(monkeypatch, fault):
    multiply = prepacking._multiply

    def broken(weights, bias, rows):
        if fault == "absent":
            raise AttributeError("_linear_pointwise")
        return multiply(weights, bias, rows) * 1.01

    monkeypatch.setattr(prepacking, "_multiply", broken)
    layers = make_layers()
    with prepack_linears(layers) as count:
        assert count == 0
