"""Real tokenizers: exact round trips, the layout's positions, and the fast encoder equal to the chat template."""

import pytest
from transformers import AutoTokenizer

from harc.core.files import read_jsonl
from harc.model.chat import ChatFormat
from harc.settings.profile import load_profile
from harc.world.backbone import build_tokenizer
from harc.world.batches import ChatEncoder
from harc.world.corpora import build_world_data
from harc.world.layouts import LAYOUTS

CI = load_profile("ci")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("world") / "organism"
    build_world_data(path, CI.world)
    return path


@pytest.fixture(scope="module", params=list(LAYOUTS))
def pair(request, folder, tmp_path_factory):
    saved = tmp_path_factory.mktemp(request.param)
    build_tokenizer(folder, request.param).save_pretrained(saved)
    tokenizer = AutoTokenizer.from_pretrained(saved)
    return tokenizer, ChatEncoder(tokenizer, request.param)


def test_template_ends_turns_with_the_end_token(pair):
    tokenizer, _ = pair
    assert ChatFormat(tokenizer).turn_ends == {tokenizer.eos_token_id}


def test_round_trip_of_every_text(pair, folder):
    tokenizer, _ = pair
    for row in read_jsonl(folder / "training.jsonl"):
        for text in (row["prompt"], row["response"]):
            ids = tokenizer(text).input_ids
            assert tokenizer.unk_token_id not in ids
            assert len(ids) == len(text.split())
            assert tokenizer.decode([*ids, tokenizer.eos_token_id], skip_special_tokens=True) == text


def test_encoder_equals_the_chat_template(pair, folder):
    tokenizer, encoder = pair
    for row in read_jsonl(folder / "pretraining.jsonl")[-300::7]:
        ids = tokenizer.apply_chat_template(row["messages"], return_dict=False)
        assert list(encoder.encode_chat(row["messages"]).ids) == ids
        prompt = tokenizer.apply_chat_template(
            row["messages"][:1], add_generation_prompt=True, return_dict=False
        )
        assert encoder.encode_prompt(row["messages"][:1]) == prompt


POST_INSTRUCTION_TOKENS = {"llama": 5, "qwen2": 5, "mistral": 1, "gemma": 5, "phi3": 4}


def test_positions(pair):
    tokenizer, encoder = pair
    name = next(name for name, layout in LAYOUTS.items() if layout == encoder.layout)
    messages = [{"role": "user", "content": "tell me"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert encoder.post_instruction_tokens == POST_INSTRUCTION_TOKENS[name]
    assert ChatFormat(tokenizer).post_instruction_count == POST_INSTRUCTION_TOKENS[name]
    assert tokenizer.decode([ids[-1 - encoder.post_instruction_tokens]]) == "me"


def test_targets_are_the_answer_and_its_end(pair):
    tokenizer, encoder = pair
    example = encoder.encode_chat(
        [{"role": "user", "content": "tell me"}, {"role": "assistant", "content": "it is fine"}]
    )
    assert tokenizer.decode([example.ids[i] for i in example.targets[:-1]]) == "it is fine"
    assert example.ids[example.targets[-1]] == tokenizer.eos_token_id


def test_a_system_message_is_accepted(pair):
    tokenizer, encoder = pair
    messages = [{"role": "system", "content": "be kind ."}, {"role": "user", "content": "tell me"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text.index("be kind .") < text.index("tell me")
    if encoder.layout.assistant.header:  # every layout but Mistral's has a turn for it
        assert text.index("system") < text.index("be kind .") < text.index("user")
