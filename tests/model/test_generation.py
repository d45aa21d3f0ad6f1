"""Batched decoding gives what one-at-a-time decoding gives, and never cuts a prompt."""

import copy

import pytest
import torch
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.cache_utils import DynamicCache, DynamicLayer

from harc.core.errors import ModelError
from harc.model import prefilling
from harc.model.chat import ChatFormat
from harc.model.decoding import reserve_room
from harc.model.generation import end_token_ids, generate_greedy
from harc.model.prefilling import Beginning, plan_beginnings, read_prompts, split_by_length


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    words = {"<pad>": 0, "<end>": 1, "<unk>": 2} | {f"w{index}": index + 3 for index in range(29)}
    raw = Tokenizer(WordLevel(words, unk_token="<unk>"))
    raw.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    )


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=64,
        eos_token_id=1,
        pad_token_id=0,
        bos_token_id=None,
        initializer_range=0.6,
    )
    return LlamaForCausalLM(config).eval()


def make_prompts(count: int) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 24, (count,), generator=generator).tolist()
    return [torch.randint(3, 32, (length,), generator=generator).tolist() for length in lengths]


def generate_alone(model, tokenizer, prompt: list[int], ends: list[int], limit: int) -> tuple[str, str]:
    ids = torch.tensor([prompt])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=ends,
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    ended = output[-1] in ends
    return tokenizer.decode(output[:-1] if ended else output, skip_special_tokens=True), (
        "stop" if ended else "length"
    )


@pytest.mark.parametrize("allowed", [0, 20, 512], ids=["a pass each length", "some passes", "one pass"])
def test_batched_output_equals_generate_alone(model, tokenizer, monkeypatch, allowed):
    monkeypatch.setattr("harc.model.prefilling.PADDING_ALLOWED", allowed)
    prompts = make_prompts(40)
    # Many end tokens make rows finish at different steps, so that the batch is compacted on the way.
    ends = [1, 5, 9, 14, 20, 27]
    batched = generate_greedy(model, tokenizer, prompts, max_new_tokens=16, batch_size=16, ends=ends)
    alone = [generate_alone(model, tokenizer, prompt, ends, 16) for prompt in prompts]
    assert [(c.text, c.finish_reason) for c in batched] == alone
    assert {"stop", "length"} == {c.finish_reason for c in batched}
    assert [c.prompt_tokens for c in batched] == [len(prompt) for prompt in prompts]


def test_batch_size_changes_nothing(model, tokenizer):
    prompts = make_prompts(11)
    results = [
        generate_greedy(model, tokenizer, prompts, max_new_tokens=8, batch_size=size) for size in (1, 4, 64)
    ]
    assert results[0] == results[1] == results[2]


def test_equal_prompts_are_decoded_once_and_all_answered(model, tokenizer):
    finished = []
    prompts = [[4, 5], [6], [4, 5]]
    answers = generate_greedy(
        model, tokenizer, prompts, max_new_tokens=4, batch_size=8, on_done=finished.append
    )
    assert answers[0] == answers[2] and len(answers) == 3
    assert sum(finished) == 3


@pytest.mark.parametrize(("length", "found"), [(61, "61 \\(context 64"), (0, "0 \\(context 64")])
def test_prompt_that_does_not_fit_is_an_error(model, tokenizer, length, found):
    prompts = [[3], [3] * length]
    with pytest.raises(ModelError, match=f"prompt 1: expected 1 to 60 tokens; found {found}"):
        generate_greedy(model, tokenizer, prompts, max_new_tokens=4, batch_size=2)


def test_longest_prompt_that_fits_is_answered(model, tokenizer):
    answer = generate_greedy(model, tokenizer, [[3] * 60], max_new_tokens=4, batch_size=2)[0]
    assert answer.prompt_tokens == 60


def test_prompts_are_read_in_as_many_passes_as_their_lengths_ask_for():
    assert split_by_length([9, 9, 9], 0) == [3]
    assert split_by_length([9, 8, 8, 2], 0) == [1, 2, 1]
    assert split_by_length([9, 8, 8, 2, 1], 2) == [3, 2]
    assert split_by_length([9, 8, 8, 2, 1], 100) == [5]


def test_joined_prompts_are_one_left_padded_batch(model, monkeypatch):
    prompts = [[5, 6, 7, 8], [5, 6], [9, 10], [11]]
    whole = read_prompts(model, prompts, 0)
    monkeypatch.setattr("harc.model.prefilling.PADDING_ALLOWED", 0)
    parts = read_prompts(model, prompts, 0)
    assert parts.mask.tolist() == whole.mask.tolist() and parts.last_positions.tolist() == [
        [3],
        [1],
        [1],
        [0],
    ]
    assert torch.allclose(parts.logits, whole.logits, atol=1e-5)
    assert len(parts.cache.layers) == 3 and parts.cache.get_seq_length() == 4


def test_beginnings_are_read_once_where_that_saves_enough():
    alike = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7], [1, 2, 3, 8], [9, 9]]
    assert plan_beginnings(alike, [0, 1, 2, 3], 0, 99) == ([0, 1, 2, 3], [])
    assert plan_beginnings(alike, [0, 1, 2, 3], 0, 6) == ([3], [Beginning(0, 0, 3, [0, 1, 2], [])])
    inner = Beginning(0, 3, 4, [0, 1], [])
    assert plan_beginnings(alike, [0, 1, 2, 3], 0, 1) == ([3], [Beginning(0, 0, 3, [2], [inner])])


def test_a_prompt_that_is_the_beginning_of_another_keeps_a_token_to_read():
    prompts = [[1, 2, 3, 4], [1, 2, 3]]
    assert plan_beginnings(prompts, [0, 1], 0, 1) == ([], [Beginning(0, 0, 2, [0, 1], [])])
    assert plan_beginnings([[1], [1]], [0, 1], 0, 1) == ([0, 1], [])


def test_prompts_read_after_shared_beginnings_come_in_their_order(model, monkeypatch):
    start = [7, 8, 9, 10, 11]
    prompts = [[*start, 12, 13, 14, 15], [20, 21, 22, 23, 24, 25, 26], [*start, 12, 13], [*start, 30], [20]]
    whole = read_prompts(model, prompts, 0)
    monkeypatch.setattr("harc.model.prepacking.LARGE", 0)
    monkeypatch.setattr("harc.model.prefilling.LARGE_PASS", 1)
    seen = count_tokens(monkeypatch)
    parts = read_prompts(model, prompts, 0)
    assert sum(seen) < sum(map(len, prompts))
    assert parts.last_positions.tolist() == whole.last_positions.tolist()
    assert parts.mask.sum(1).tolist() == [len(prompt) for prompt in prompts]
    assert torch.allclose(parts.logits, whole.logits, atol=1e-5)


def count_tokens(monkeypatch) -> list[int]:
    """Tokens of each pass from now on."""
    seen, run_step = [], prefilling.run_step

    def count(model, ids, *others):
        seen.append(ids.numel())
        return run_step(model, ids, *others)

    monkeypatch.setattr(prefilling, "run_step", count)
    return seen


@pytest.mark.parametrize("room", [1, 3, 9])
def test_room_in_a_cache_changes_no_bit(model, room):
    def write(reserve: bool) -> list[torch.Tensor]:
        generator, cache = torch.Generator().manual_seed(0), DynamicCache(config=model.config)
        draw = lambda width: torch.randn(3, 4, width, 8, generator=generator)  # noqa: E731
        cache.update(draw(5), draw(5), 0)
        if reserve:
            reserve_room(cache, room)
            assert type(cache.layers[0]) is not DynamicLayer
        seen = []
        for step in range(6):
            if step == 4:
                cache.reorder_cache(torch.tensor([2, 0]))
            rows = 2 if step >= 4 else 3
            seen += [part.clone() for part in cache.update(draw(1)[:rows], draw(1)[:rows], 0)]
        assert cache.get_seq_length() == 11
        return seen

    plain, roomy = write(False), write(True)
    assert all(torch.equal(a, b) for a, b in zip(plain, roomy, strict=True))


def test_room_is_used_in_place_of_copies(model):
    cache = DynamicCache(config=model.config)
    cache.update(torch.randn(3, 4, 5, 8), torch.randn(3, 4, 5, 8), 0)
    reserve_room(cache, 4)
    places = {
        cache.update(torch.randn(3, 4, 1, 8), torch.randn(3, 4, 1, 8), 0)[0].data_ptr() for _ in range(4)
    }
    assert len(places) == 1


def test_hooks_that_read_rows_whole_keep_beginnings_apart(model, monkeypatch):
    monkeypatch.setattr("harc.model.prepacking.LARGE", 0)
    assert prefilling.shares_beginnings(model)
    monkeypatch.setattr(model.base_model, "decides_per_row", True, raising=False)
    assert not prefilling.shares_beginnings(model)


def test_models_with_sliding_windows_are_read_in_one_pass(tokenizer, monkeypatch):
    monkeypatch.setattr("harc.model.prefilling.PADDING_ALLOWED", 0)
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=32, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, sliding_window=6, eos_token_id=1, pad_token_id=0,
        bos_token_id=None, initializer_range=0.6,
    )  # fmt: skip
    sliding = MistralForCausalLM(config).eval()
    prompts = make_prompts(8)
    batched = generate_greedy(sliding, tokenizer, prompts, max_new_tokens=8, batch_size=8, ends=[1])
    assert [(c.text, c.finish_reason) for c in batched] == [
        generate_alone(sliding, tokenizer, prompt, [1], 8) for prompt in prompts
    ]


def test_template_end_of_turn_ends_a_response_whose_settings_name_another():
    """A base model's settings under a chat template: eos is the document's end, and answers would run on."""
    from tiny_models import build_model, load_tokenizer

    tokenizer = load_tokenizer()
    turn_end = tokenizer.convert_tokens_to_ids("<|eot_id|>")
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(7)
    chat, tiny = ChatFormat(tokenizer), build_model("Llama", eos_token_id=5)
    assert turn_end not in end_token_ids(tiny, tokenizer)
    assert end_token_ids(tiny, tokenizer, chat) == {5, 7, turn_end}
    tiny.generation_config = None
    assert 5 in end_token_ids(tiny, tokenizer, chat)


@pytest.mark.parametrize("declared", [[1, 5], 5, None, [9999, 5], [5, -1]])
def test_end_tokens_may_be_one_several_or_partly_unknown(model, tokenizer, declared):
    from types import SimpleNamespace

    settings = SimpleNamespace(eos_token_id=declared)
    odd = copy.copy(model)
    odd.generation_config = settings
    found = end_token_ids(odd, tokenizer)
    assert found == ({1} if declared is None else {1, 5})


def test_end_tokens_that_the_model_cannot_write_are_an_error(model, tokenizer):
    odd, other = copy.copy(model), copy.deepcopy(tokenizer)
    odd.generation_config = GenerationConfig(eos_token_id=[4000, 5000])
    odd.config = copy.deepcopy(model.config)
    odd.config.eos_token_id = None
    other.eos_token = None
    with pytest.raises(
        ModelError, match="expected an end-of-turn token; found [45]000, .*beyond the model's 32"
    ):
        end_token_ids(odd, other)


def test_padding_token_beyond_the_embeddings_pads_all_the_same(model, tokenizer):
    odd = copy.deepcopy(tokenizer)
    odd.add_special_tokens({"pad_token": "<new>"})
    assert odd.pad_token_id == 32
    prompts = make_prompts(6)
    expected = generate_greedy(model, tokenizer, prompts, max_new_tokens=4, batch_size=6)
    assert generate_greedy(model, odd, prompts, max_new_tokens=4, batch_size=6) == expected


def test_padding_that_is_the_end_token_changes_nothing(model, tokenizer):
    same = copy.deepcopy(tokenizer)
    same.pad_token = same.eos_token
    prompts = [[*prompt, 1, 4] for prompt in make_prompts(6)]
    expected = generate_greedy(model, tokenizer, prompts, max_new_tokens=4, batch_size=6)
    assert generate_greedy(model, same, prompts, max_new_tokens=4, batch_size=6) == expected
