"""An adapter folded into the weights gives the logits that PEFT gives with it apart, or is refused."""

import re
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, get_peft_model
from tiny_models import build_model, load_tokenizer

import harc
from harc.core.errors import ModelError
from harc.model import adapters
from harc.model.adapters import fold_adapter, merge_weights
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
