"""A joined adapter, loaded with plain PEFT, gives the logits of the first and then the second; or it is refused."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, get_peft_model
from tiny_models import build_model, load_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from harc.core.errors import ModelError
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat
from harc.model.handle import describe_base
from harc.settings.training import LoraSettings, MethodSettings
from harc.training.adapters import attach_adapter, save_adapter
from harc.training.run import _merge_first

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT warns of what is tested here
IDS = torch.arange(20, 60)[None]
FIRST = {
    "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 16, "init_lora_weights": False,
    "target_modules": ["q_proj", "down_proj"],
}  # fmt: skip


def fresh(family: str = "Llama", **changes) -> Backbone:
    tokenizer = load_tokenizer()
    model = build_gpt2() if family == "GPT2" else build_model(family, **changes)
    return Backbone(model, tokenizer, ChatFormat(tokenizer))


def build_gpt2():
    """Its layers keep weights as (inputs, outputs)."""
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=591, n_embd=32, n_layer=2, n_head=4, n_positions=128)).eval()


def save_first(folder: Path, backbone: Backbone, config) -> None:
    torch.manual_seed(1)
    get_peft_model(backbone.model, config).save_pretrained(str(folder), save_embedding_layers=False)


@torch.no_grad()
def compose(tmp_path: Path, first: LoraConfig, targets: tuple[str, ...], family: str = "Llama", **changes):
    """(logits with both updates on, joined folder)."""
    save_first(tmp_path / "first", fresh(family, **changes), first)
    plain = fresh(family, **changes)
    base = describe_base(plain.model)
    backbone, started = _merge_first(plain, MethodSettings(preset="harc_dpo"), tmp_path / "first")
    lora = LoraSettings(rank=3, alpha=12, targets=targets)
    with attach_adapter(backbone, lora, 0) as adapted:
        for name, value in adapted.model.named_parameters():
            if "lora_B" in name:
                value.normal_(std=0.1)
        together = adapted.model.eval()(IDS).logits
        (tmp_path / "joined").mkdir()
        save_adapter(adapted, tmp_path / "joined", base, started)
    return together, tmp_path / "joined"


@torch.no_grad()
def load_logits(folder: Path, family: str = "Llama", **changes) -> torch.Tensor:
    return PeftModel.from_pretrained(fresh(family, **changes).model, str(folder)).eval()(IDS).logits


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 40}},
        {"rank_pattern": {r"layers\.1\..*": 1}, "use_rslora": True},
        {"layers_to_transform": [0, 2]},
        {"target_modules": r".*layers\.[13]\.(self_attn\.q_proj|mlp\.up_proj)"},
        {"target_modules": "all-linear"},
        {"exclude_modules": ["layers.0.self_attn.q_proj"]},
        {"target_modules": ["model.layers.2.self_attn.k_proj"]},
        {"target_modules": ["lm_head", "v_proj"]},
        {"init_lora_weights": "gaussian"},
        {"lora_dropout": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("all-linear",)], ids=["named", "all"])
def test_joined_adapter_is_the_composition(tmp_path, changes, targets):
    together, folder = compose(tmp_path, LoraConfig(**{**FIRST, **changes}), targets)
    found = load_logits(folder)
    torch.testing.assert_close(found, together, rtol=1e-3, atol=2e-3)
    assert (found - load_logits(tmp_path / "first")).norm() > 1e-2 * found.norm()


@pytest.mark.parametrize("changes", [{"tie_word_embeddings": True}], ids=str)
def test_first_adapter_on_a_tied_head(tmp_path, changes):
    first = LoraConfig(**{**FIRST, "target_modules": ["lm_head", "q_proj"]})
    together, folder = compose(tmp_path, first, ("q_proj",), **changes)
    torch.testing.assert_close(load_logits(folder, **changes), together, rtol=1e-3, atol=2e-3)


def test_layers_that_keep_their_weights_the_other_way_round(tmp_path):
    first = LoraConfig(**{**FIRST, "target_modules": ["c_attn"], "fan_in_fan_out": True, "use_rslora": True})
    together, folder = compose(tmp_path, first, ("c_proj",), "GPT2")
    torch.testing.assert_close(load_logits(folder, "GPT2"), together, rtol=1e-3, atol=2e-3)


def test_scale_ignored_would_be_seen(tmp_path):
    """The twin of the test above: with alpha / rank in place of alpha / sqrt(rank), as it was, logits differ."""
    together, folder = compose(tmp_path, LoraConfig(**{**FIRST, "use_rslora": True}), ("q_proj",))
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "adapter_model.safetensors")
    for name, value in tensors.items():
        if "lora_B" in name:
            value[:, :4] *= 0.5  # alpha / 4 instead of alpha / 2
    save_file(tensors, folder / "adapter_model.safetensors")
    assert (load_logits(folder) - together).norm() > 0.05 * together.norm()


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (LoraConfig(**FIRST, use_dora=True), "use_dora: True"),
        (LoraConfig(**FIRST, bias="all"), "bias: 'all'"),
        (LoraConfig(**FIRST, lora_bias=True), "lora_bias: True"),
        (LoraConfig(**FIRST, modules_to_save=["v_proj"]), "modules_to_save: .'v_proj'"),
        (LoraConfig(**FIRST, layer_replication=[(0, 3), (2, 5)]), "layer_replication"),
        (LoraConfig(**FIRST, trainable_token_indices=[5]), "trainable_token_indices"),
        (LoraConfig(**{**FIRST, "init_lora_weights": "pissa"}), "init_lora_weights: pissa"),
        (LoraConfig(**{**FIRST, "init_lora_weights": "olora"}), "init_lora_weights: olora"),
        (LoraConfig(**{**FIRST, "target_modules": ["embed_tokens"]}), "an update of model.embed_tokens"),
        (PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2), "PREFIX_TUNING"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_joined_is_refused_before_training(tmp_path, config, found):
    save_first(tmp_path, fresh(), copy.deepcopy(config))
    with pytest.raises(ModelError) as problem:
        _merge_first(fresh(), MethodSettings(preset="harc_dpo"), tmp_path)
    assert "\n" not in str(problem.value)
    assert re.search(found, str(problem.value)) or "expected an adapter of this model" in str(problem.value)


def test_short_names_are_kept_where_they_say_the_same(tmp_path):
    _, folder = compose(tmp_path, LoraConfig(**FIRST), ("q_proj", "v_proj"))
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["target_modules"] == ["down_proj", "q_proj", "v_proj"]
    assert config["r"] == config["lora_alpha"] == 7
