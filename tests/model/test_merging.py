"""An adapter folded into the weights gives the logits that PEFT gives with it apart, or is refused."""

import re
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from safetensors.torch import load_file
from tiny_models import build_model, load_tokenizer

import harc
from harc.core.errors import ModelError
from harc.model import adapters
from harc.model.adapters import fold_adapter, merge_exactly, merge_weights, round_adapter
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT warns of what is tested here
IDS = torch.arange(20, 60)[None]
LAYERS = {"r": 4, "lora_alpha": 64, "init_lora_weights": False, "target_modules": ["q_proj", "down_proj"]}


def adapt(tied: bool = True, **changes):
    torch.manual_seed(1)
    model = build_model("Llama", tie_word_embeddings=tied)
    return get_peft_model(model, LoraConfig(**{**LAYERS, **changes})).eval()


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"target_modules": ["lm_head"]},
        {"target_modules": ["embed_tokens"]},
        {"target_modules": ["lm_head", "embed_tokens", "q_proj"]},
        {"modules_to_save": ["lm_head"]},
        {"use_dora": True},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 8}},
        {"init_lora_weights": "pissa"},
    ],
    ids=str,
)
@torch.no_grad()
def test_folded_model_gives_pefts_own_logits(tied, changes):
    adapted = adapt(tied, **changes)
    apart = adapted(IDS).logits
    merged = merge_weights(adapted)
    assert not hasattr(merged, "merge_and_unload")
    torch.testing.assert_close(merged(IDS).logits, apart, rtol=1e-3, atol=1e-3)


def test_check_sees_an_update_that_reaches_a_shared_matrix(monkeypatch):
    monkeypatch.setattr(adapters, "_untie_updated", lambda adapted: None)
    with pytest.raises(
        ModelError, match="adapter: expected an adapter that can be folded.*logits that differ"
    ):
        merge_weights(adapt(target_modules=["lm_head"]))


def test_update_that_peft_cannot_fold_in_is_one_line():
    with pytest.raises(ModelError, match="found [A-Za-z]+Error: ") as problem:
        merge_weights(adapt(lora_bias=True))
    assert "\n" not in str(problem.value)


def test_sixteen_bits_round_the_update_and_pass():
    merged = merge_weights(adapt().to(torch.bfloat16))
    weights = dict(merged.named_parameters())
    assert not any("lora" in name for name in weights)
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}


def test_model_without_weights_to_fold_stays_apart():
    tokenizer = load_tokenizer()
    model = get_peft_model(
        build_model("Llama"), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    )
    backbone = Backbone(model, tokenizer, ChatFormat(tokenizer))
    assert fold_adapter(backbone) is backbone


def test_adapters_are_folded_in_one_place_alone():
    root = Path(harc.__file__).parent
    calls = re.compile(r"\.(merge_and_unload|merge_adapter|merge)\(")
    found = {
        path.relative_to(root).as_posix() for path in root.rglob("*.py") if calls.search(path.read_text())
    }
    assert found == {"model/adapters.py"}


def sum_by_hand(layer) -> torch.Tensor:
    """W + scale B A of a layer, rank by rank in float64, rounded once."""
    down, up = layer.lora_A["default"].weight.double(), layer.lora_B["default"].weight.double()
    update = sum(torch.outer(up[:, rank], down[rank]) for rank in range(len(down)))
    weight = layer.get_base_layer().weight
    return (weight.double() + update * layer.scaling["default"]).to(weight.dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@torch.no_grad()
def test_an_exact_merge_rounds_a_sum_in_float64_once(dtype):
    adapted = adapt(lora_alpha=4).to(dtype)
    expected = {
        name.removeprefix("base_model.model."): sum_by_hand(layer)
        for name, layer in adapted.named_modules()
        if hasattr(layer, "lora_A")
    }
    merged = merge_exactly(adapted)
    assert len(expected) == 2 * merged.config.num_hidden_layers
    for name, weight in expected.items():
        assert torch.equal(merged.get_submodule(name).weight, weight)
    assert merged.get_input_embeddings().weight.dtype == dtype


@pytest.mark.parametrize("changes", [{"use_dora": True}, {"target_modules": ["embed_tokens"]}], ids=str)
def test_an_exact_merge_is_of_plain_updates_alone(changes):
    with pytest.raises(ModelError, match="no plain update of a linear layer|logits that differ"):
        merge_exactly(adapt(**changes))


def test_an_adapter_is_rounded_to_half_its_bytes(tmp_path):
    source, folder = tmp_path / "whole", tmp_path / "rounded"
    adapt().save_pretrained(source)
    (source / "base_model.json").write_text("{}")
    round_adapter(source, folder)
    whole, rounded = (load_file(path / "adapter_model.safetensors") for path in (source, folder))
    assert whole.keys() == rounded.keys()
    assert all(torch.equal(rounded[name], value.to(torch.bfloat16)) for name, value in whole.items())
