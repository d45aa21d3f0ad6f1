"""Products of bfloat16 on CPUs without instructions for them: torch's numbers, only faster."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from harc.model import bfloat16
from harc.model.bfloat16 import multiply_wide, widen_linears


@pytest.fixture
def without_instructions(monkeypatch):
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: False)


def make_numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).bfloat16()


@pytest.mark.parametrize("bias", [None, make_numbers(40)])
@pytest.mark.parametrize("block", [1, 7 * 33, 2**22])
def test_a_wide_product_is_the_rounded_float32_product_of_the_same_values(monkeypatch, bias, block):
    monkeypatch.setattr(bfloat16, "BLOCK", block)
    inputs, weight = make_numbers(2, 5, 33), make_numbers(40, 33)
    exact = inputs.double() @ weight.double().T
    found = multiply_wide(inputs, weight, bias)
    assert found.dtype == torch.bfloat16
    assert found.shape == (2, 5, 40)
    expected = exact.bfloat16() if bias is None else (exact.bfloat16().double() + bias.double()).bfloat16()
    torch.testing.assert_close(found, expected, rtol=2**-7, atol=0.02)
    native = torch.nn.functional.linear(inputs, weight, bias)
    torch.testing.assert_close(found, native, rtol=2**-6, atol=0.05)


def test_gradients_reach_the_inputs_as_through_a_frozen_weight(monkeypatch):
    monkeypatch.setattr(bfloat16, "BLOCK", 7 * 33)
    weight, given = make_numbers(40, 33), make_numbers(5, 40)
    found, native = make_numbers(5, 33).requires_grad_(), make_numbers(5, 33).requires_grad_()
    multiply_wide(found, weight).backward(given)
    torch.nn.functional.linear(native, weight).backward(given)
    torch.testing.assert_close(found.grad, native.grad, rtol=2**-6, atol=0.1)


def test_weights_that_learn_and_other_precisions_are_left_to_torch():
    inputs, weight = make_numbers(5, 33), make_numbers(40, 33).requires_grad_()
    multiply_wide(inputs, weight).sum().backward()
    assert weight.grad is not None
    plain = multiply_wide(inputs.float(), weight.float())
    assert torch.equal(plain, torch.nn.functional.linear(inputs.float(), weight.float()))


def make_model(dtype: torch.dtype) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(33, 40), torch.nn.SiLU(), torch.nn.Linear(40, 3)).to(dtype)


def test_only_layers_in_bfloat16_are_widened_and_once(without_instructions):
    model = make_model(torch.bfloat16)
    assert widen_linears(model) == 2
    assert widen_linears(model) == 0
    assert widen_linears(make_model(torch.float32)) == 0


def test_a_cpu_with_the_instructions_keeps_torchs_products(monkeypatch):
    monkeypatch.setattr(bfloat16, "multiplies_bfloat16", lambda: True)
    model = make_model(torch.bfloat16)
    assert widen_linears(model) == 0
    assert "forward" not in model[0].__dict__


def test_a_widened_layer_follows_its_weights_when_they_change(without_instructions):
    model, inputs = make_model(torch.bfloat16), make_numbers(5, 33)
    widen_linears(model)
    before = model(inputs)
    model[0].weight.data = 2 * model[0].weight.data
    assert not torch.equal(model(inputs), before)
    other = copy.deepcopy(model)
    other[0].weight.data = torch.zeros_like(other[0].weight)
    assert not torch.equal(other(inputs), model(inputs))


def test_an_adapter_on_a_widened_model_learns(without_instructions):
    plain, wide = make_model(torch.bfloat16), make_model(torch.bfloat16)
    widen_linears(wide)
    inputs, gradients = make_numbers(5, 33), []
    for model in (plain, wide):
        torch.manual_seed(1)
        adapted = get_peft_model(model, LoraConfig(target_modules=["0", "2"], init_lora_weights=False))
        adapted(inputs).float().square().sum().backward()
        gradients.append([p.grad for p in adapted.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) == 4
    for expected, found in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)
