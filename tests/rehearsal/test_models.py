"""Stand-ins have the shape and the quirks of what they stand for, answer at once, and tell prompts apart."""

import json

import pytest
import torch
import transformers

from harc.model.backbones import load_backbone
from harc.model.generation import answer_prompts
from harc.rehearsal.models import CHAT_REPLIES, PROPOSALS, save_stand_in
from harc.rehearsal.published import PUBLISHED

TESTED = (
    "meta-llama/Llama-3.2-1B-Instruct",
    "Qwen/Qwen2.5-7B-Instruct",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
)
PROMPTS = [
    f"What is in the {word} box, and why?"
    for word in ["red", "blue", "old", "wet", "last", "small", "round", "open"]
]


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_shape_makes_as_many_parameters_as_the_model_card_says(name):
    known = PUBLISHED[name]
    config = getattr(transformers, f"{known.architecture}Config")(
        vocab_size=known.vocabulary, hidden_size=known.hidden, intermediate_size=known.inner,
        num_hidden_layers=known.layers, num_attention_heads=known.heads, num_key_value_heads=known.key_value_heads,
        tie_word_embeddings=known.tied, **known.quirks,
    )  # fmt: skip
    with torch.device("meta"):
        model = getattr(transformers, f"{known.architecture}ForCausalLM")(config)
    model.tie_weights()
    counted = sum(parameter.numel() for parameter in model.parameters()) / 1e9
    assert counted == pytest.approx(known.billions, rel=5e-3)


@pytest.fixture(scope="module", params=TESTED)
def made(request, tmp_path_factory):
    """(what is known of the model, the replies that it was made for, its stand-in's folder)."""
    replies = PROPOSALS if "Mixtral" in request.param else CHAT_REPLIES
    folder = tmp_path_factory.mktemp("stand_in") / "model"
    return PUBLISHED[request.param], replies, save_stand_in(folder, PUBLISHED[request.param], replies)


def test_files_are_those_of_a_repository(made):
    known, _, folder = made
    names = {path.name for path in folder.iterdir()}
    assert {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "README.md",
    } <= names
    shards = set(json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"].values())
    assert len(shards) > 1 and shards <= names
    config = json.loads((folder / "config.json").read_text())
    assert (config["num_hidden_layers"], config["tie_word_embeddings"]) == (known.layers, known.tied)
    assert (
        config["num_attention_heads"] // config["num_key_value_heads"] == known.heads // known.key_value_heads
    )
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16e6


def test_answers_are_whole_replies_and_those_of_a_chat_model_depend_on_the_prompt(made):
    _, replies, folder = made
    backbone = load_backbone(str(folder), dtype="float32")
    ids = backbone.chat.encode_prompts([[{"role": "user", "content": text}] for text in PROMPTS])
    answers = answer_prompts(backbone, ids, max_new_tokens=4, batch_size=8, names=PROMPTS)
    assert {answer.text for answer in answers} <= set(replies)
    assert {answer.finish_reason for answer in answers} == {"stop"}
    if replies is CHAT_REPLIES:  # an attacker is sampled
        assert len({answer.text for answer in answers}) > 1


def test_a_text_is_never_read_as_a_reply(made):
    _, replies, folder = made
    tokenizer = load_backbone(str(folder), dtype="float32").tokenizer
    assert all(len(tokenizer(text, add_special_tokens=False)["input_ids"]) > 5 for text in replies)
    assert all(
        tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text for text in replies
    )
