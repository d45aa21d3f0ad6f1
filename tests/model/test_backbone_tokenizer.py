"""A tokenizer comes back from disk as it was saved, whatever the model's architecture."""

import pytest
from tiny_chat import REFUSAL, make_tokenizer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from harc.model.backbones import load_backbone

TINY = {
    "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "bos_token_id": None,
}  # fmt: skip


def save(folder, config_class, model_class):
    tokenizer = make_tokenizer()
    model_class(config_class(vocab_size=len(tokenizer), **TINY)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.mark.parametrize(
    ("config_class", "model_class"), [(LlamaConfig, LlamaForCausalLM), (Qwen2Config, Qwen2ForCausalLM)]
)
def test_saved_tokenizer_is_loaded_unchanged(tmp_path, config_class, model_class):
    saved = save(tmp_path, config_class, model_class)
    loaded = load_backbone(tmp_path).tokenizer
    ids = saved(REFUSAL, add_special_tokens=False).input_ids
    assert loaded(REFUSAL, add_special_tokens=False).input_ids == ids
    assert loaded.decode(ids) == REFUSAL


def test_the_automatic_choice_would_change_it(tmp_path):
    """The twin: once transformers loads this right by itself, `load_backbone` need not interfere."""
    saved = save(tmp_path, Qwen2Config, Qwen2ForCausalLM)
    automatic = AutoTokenizer.from_pretrained(tmp_path)
    assert automatic(REFUSAL).input_ids != saved(REFUSAL, add_special_tokens=False).input_ids
