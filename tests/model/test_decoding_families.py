"""Families of every kind of memory: batched decoding gives what `generate` gives for each prompt, or is refused."""

from functools import cache

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, GenerationConfig

from harc.core.errors import ModelError
from harc.model import decoding, decoding_check, prefilling
from harc.model.activations import Reading, stream_residuals
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat
from harc.model.decoding_check import check_decoding
from harc.model.generation import generate_greedy
from harc.model.prefilling import Signature

SHAPE = {
    "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "sliding_window": 12, "num_local_experts": 4, "num_experts": 4, "moe_intermediate_size": 16,
}  # fmt: skip
LINEAR = {
    "num_hidden_layers": 4, "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "num_experts_per_tok": 2,
}  # fmt: skip
LATENT = {
    "num_key_value_heads": 4, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "kv_lora_rank": 16,
    "q_lora_rank": 16, "n_group": 1, "topk_group": 1, "n_routed_experts": 4,
}  # fmt: skip
ANSWERED = {
    # attention everywhere, rotary positions
    "llama": {}, "qwen2": {}, "qwen3": {}, "gpt_neox": {}, "phi": {}, "phi3": {}, "stablelm": {}, "mixtral": {},
    "deepseek_v3": LATENT,
    # sliding windows that the prompts are longer than
    "mistral": {}, "gemma2": {}, "gemma3_text": {}, "cohere2": {}, "gpt_oss": {},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8, "num_layers": 2},
    # learned absolute positions, and biases in their place
    "gpt2": {"n_positions": 64}, "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32}, "bloom": {"n_head": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 64}, "falcon": {"alibi": True},
    # a state in place of keys and values, or beside them
    "mamba": {"state_size": 8}, "falcon_mamba": {"state_size": 8},
    "mamba2": {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1},
    "jamba": {
        "num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4, "mamba_d_state": 8,
    },
    "bamba": {
        "num_hidden_layers": 4, "attn_layer_indices": [1, 3], "mamba_n_heads": 4, "mamba_d_head": 16,
        "mamba_n_groups": 1, "mamba_d_state": 8,
    },
    "falcon_h1": {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8},
    "qwen3_next": LINEAR, "lfm2": {"num_hidden_layers": 4},
}  # fmt: skip
REFUSED = {
    "rwkv": "without past_key_values, cache_params, cache",
    "recurrent_gemma": "logits that differ from those of `generate`",
    "bart": "logits that differ from those of `generate`",
    "bert": "change by .* with what comes after them",
    "minimax": "uses cache of its own",
}
CHANGES = {
    "recurrent_gemma": {"num_hidden_layers": 4, "attention_window_size": 12, "lru_width": 32},
    "rwkv": {"attention_hidden_size": 32},
    "bart": {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 48},
}
PROMPTS = [
    torch.randint(3, 97, (length,), generator=torch.Generator().manual_seed(length)).tolist()
    for length in (30, 17, 16, 9, 5, 2, 1)
]


class Numbers:
    """A tokenizer whose text is the token ids."""

    pad_token_id, eos_token_id = 0, None

    def decode(self, tokens, skip_special_tokens=True):
        return " ".join(map(str, tokens))


@cache
def build(family: str):
    kind = CONFIG_MAPPING[family]
    changes = {**ANSWERED.get(family, {}), **CHANGES.get(family, {})}
    known = {*kind().to_dict(), *kind.attribute_map}
    config = kind(**{name: value for name, value in {**SHAPE, **changes}.items() if name in known})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for value in model.parameters():
        if value.dim() > 1 and value.std() < 0.1:  # else every family says one word over and over
            value.normal_(std=0.25)
    return model


def answer_alone(model, prompt, ends):
    ids = torch.tensor([prompt])
    model.generation_config = GenerationConfig(
        do_sample=False, max_new_tokens=8, eos_token_id=ends, pad_token_id=0
    )
    tokens = model.generate(ids, attention_mask=torch.ones_like(ids))[0, len(prompt) :].tolist()
    ended = tokens[-1] in ends
    return " ".join(map(str, tokens[:-1] if ended else tokens)), "stop" if ended else "length"


@pytest.mark.parametrize("family", ANSWERED)
def test_batched_answers_are_those_of_each_prompt_alone(family):
    model, ends = build(family), list(range(0, 97, 11))
    answers = generate_greedy(model, Numbers(), PROMPTS, max_new_tokens=8, batch_size=7, ends=ends)
    assert [(done.text, done.finish_reason) for done in answers] == [
        answer_alone(model, prompt, ends) for prompt in PROMPTS
    ]
    assert len({done.text for done in answers}) > 3


@pytest.mark.parametrize("family", ANSWERED)
def test_beginnings_that_are_read_once_change_no_answer(family, monkeypatch):
    monkeypatch.setattr("harc.model.prepacking.LARGE", 0)
    monkeypatch.setattr(prefilling, "LARGE_PASS", 2)
    monkeypatch.setattr(prefilling, "_read_whole", set())
    monkeypatch.setattr(decoding_check, "_tried", set())
    model, ends = build(family), list(range(0, 97, 11))
    prompts = [PROMPTS[0][:12] + prompt for prompt in PROMPTS[1:]]
    answers = generate_greedy(model, Numbers(), prompts, max_new_tokens=8, batch_size=7, ends=ends)
    assert [(done.text, done.finish_reason) for done in answers] == [
        answer_alone(model, prompt, ends) for prompt in prompts
    ]
    if family in ("llama", "gpt2"):
        assert prefilling.shares_beginnings(model)


@pytest.mark.parametrize("lost", [False, True])
def test_trial_sees_a_beginning_that_is_lost(monkeypatch, lost):
    """The twin: what follows a shared beginning is read as if it stood alone."""
    read = prefilling._read_once
    forgetful = lambda model, prompts, pad, past: read(model, prompts, pad, None)  # noqa: E731
    monkeypatch.setattr(prefilling, "_read_once", forgetful if lost else read)
    monkeypatch.setattr(prefilling, "_read_whole", set())
    monkeypatch.setattr(decoding_check, "_tried", set())
    monkeypatch.setattr("harc.model.prepacking.LARGE", 0)
    check_decoding(build("llama"), 0)
    assert prefilling.shares_beginnings(build("llama")) is not lost


@pytest.mark.parametrize("family", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_other_families_are_refused_in_one_line(family):
    with pytest.raises(ModelError, match=REFUSED[family]) as problem:
        generate_greedy(build(family), Numbers(), PROMPTS, max_new_tokens=8, batch_size=7, ends=[96])
    assert "\n" not in str(problem.value)


def test_trial_sees_a_state_that_is_lost(monkeypatch):
    """The twin: Mamba called as attention models are, which gave fluent answers to the last token alone."""
    asked_as_attention = Signature("past_key_values", recurrent=False, positions=True, last_only=True)
    monkeypatch.setattr("harc.model.prefilling.read_signature", lambda model: asked_as_attention)
    monkeypatch.setattr(decoding_check, "_tried", set())
    with pytest.raises(ModelError, match="MambaForCausalLM: expected a family.*logits that differ"):
        check_decoding(build("mamba"), 0)


@pytest.mark.parametrize("fault", ["positions", "mask", "rows"])
def test_trial_sees_a_wrong_batch(monkeypatch, fault):
    run_step = decoding.run_step

    def changed(model, ids, mask, positions, past):
        if fault == "positions" and ids.shape[1] == 1:
            positions = positions + 1
        if fault == "mask":
            mask = torch.ones_like(mask)
        logits = run_step(model, ids, mask, positions, past)
        return logits.roll(1, 0) if fault == "rows" else logits

    for module in (prefilling, decoding):
        monkeypatch.setattr(module, "run_step", changed)
    monkeypatch.setattr(decoding_check, "_tried", set())
    with pytest.raises(ModelError, match="logits that differ"):
        check_decoding(build("llama"), 0)


def test_half_precision_passes_the_trial_and_a_fault_does_not(monkeypatch):
    model = build("llama").to(torch.bfloat16)
    try:
        monkeypatch.setattr(decoding_check, "_tried", set())
        check_decoding(model, 0)
        monkeypatch.setattr(decoding_check, "_tried", set())
        monkeypatch.setattr("harc.model.prefilling.pad_left", pad_right)
        with pytest.raises(ModelError, match="logits that differ"):
            check_decoding(model, 0)
    finally:
        build.cache_clear()


def pad_right(prompts, pad, device):
    width = max(map(len, prompts))
    ids = torch.tensor([list(row) + [pad] * (width - len(row)) for row in prompts], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in prompts], device=device)
    return ids, mask


def test_trial_is_made_once_a_model(monkeypatch):
    calls = []
    monkeypatch.setattr(decoding_check, "_compare", lambda *args: calls.append(args) or 0.0)
    monkeypatch.setattr(decoding_check, "_tried", set())
    for _ in range(3):
        check_decoding(build("llama"), 0)
    assert len(calls) == 1


@pytest.mark.parametrize("family", ANSWERED)
@pytest.mark.parametrize("share", [False, True], ids=["apart", "shared"])
def test_activations_of_many_are_those_of_each_alone(family, share):
    """Right-padded rows, and answers that share their prompt's row where the family can; states cannot, nor need to."""
    backbone = Backbone(build(family), Numbers(), ChatFormat(Numbers()))
    texts = [tuple(PROMPTS[2][:6] + tail) for tail in (PROMPTS[3], PROMPTS[5], PROMPTS[4])] + [
        tuple(PROMPTS[1])
    ]
    readings = [Reading(text, 3, 5, (6, len(text))) for text in texts]
    together = {}
    for found in stream_residuals(backbone, readings, share=share):
        together |= {row: (found.inst[i], found.post[i], found.resp[i]) for i, row in enumerate(found.rows)}
    for row, reading in enumerate(readings):
        (alone,) = stream_residuals(backbone, [reading], share=False)
        for one, other in zip(together[row], (alone.inst[0], alone.post[0], alone.resp[0]), strict=True):
            torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3)
