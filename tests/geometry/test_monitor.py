"""The monitor: the numbers of a plain reading whatever drives the model, and a model that does not notice."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures.training_rows import STUDY, make_extraction
from tiny_models import FAMILIES, build_backbone, build_model
from torch.nn.functional import cosine_similarity

import harc.geometry.monitor
from harc.core.errors import ConfigError, ModelError
from harc.geometry.directions import FAMILIES as DIRECTIONS
from harc.geometry.directions import Directions, normalize_rows
from harc.geometry.extraction import extract_directions
from harc.geometry.monitor import UNKNOWN, Monitor
from harc.geometry.projections import project_conversations, project_tokens
from harc.training.rows import split_extraction

PAD = 3
PROMPTS = [[5, 6, 7, 8, 9, 10], [11, 12, 13], [14, 15, 16, 17]]


def make_directions(slots: int = 6, hidden: int = 32) -> Directions:
    generator = torch.Generator().manual_seed(1)
    rows = [normalize_rows(torch.randn(slots, hidden, generator=generator)) for _ in DIRECTIONS]
    return Directions(**dict(zip(DIRECTIONS, rows, strict=True)))


@pytest.fixture
def model():
    made = build_model("Llama", seed=3)
    made.generation_config.eos_token_id = None
    return made


@pytest.fixture
def directions() -> Directions:
    return make_directions()


def read_plainly(model, directions: Directions, ids, family: str) -> np.ndarray:
    """Cosines (token, slot) of one sequence by the library's own list of hidden states; its last entry is normed."""
    with torch.no_grad():
        states = model(torch.tensor([list(ids)]), output_hidden_states=True, use_cache=False).hidden_states
    vectors = getattr(directions, family)
    return np.stack(
        [cosine_similarity(states[slot][0], vectors[slot][None], dim=-1).numpy() for slot in range(5)], axis=1
    )


def pad(prompts, left: bool):
    width = max(map(len, prompts))
    rows, masks = [], []
    for ids in prompts:
        fill, ones = [PAD] * (width - len(ids)), [1] * len(ids)
        rows.append(fill + ids if left else ids + fill)
        masks.append([0] * len(fill) + ones if left else ones + [0] * len(fill))
    return torch.tensor(rows), torch.tensor(masks)


def check_traces(model, directions, traces, sequences, prompts) -> None:
    assert [list(trace.ids) for trace in traces] == [list(ids) for ids in sequences]
    assert [trace.prompt_tokens for trace in traces] == [len(ids) for ids in prompts]
    for trace in traces:
        for family in DIRECTIONS:
            plain = read_plainly(model, directions, trace.ids, family)
            np.testing.assert_allclose(trace.cosine[family][:, :5], plain, atol=2e-5)


def decode(model, ids, mask, steps: int, chunk: int | None = None):
    """A greedy loop with a cache, as a server has: a prompt in chunks, then a token a pass; each pass's logits."""
    chunk, cache, seen = chunk or ids.shape[1], None, []
    with torch.no_grad():
        for start in range(0, ids.shape[1], chunk):
            stop = min(start + chunk, ids.shape[1])
            out = model(
                ids[:, start:stop], attention_mask=mask[:, :stop], past_key_values=cache, use_cache=True
            )
            cache = out.past_key_values
            seen.append(out.logits)
        for _ in range(steps):
            token = seen[-1][:, -1:].argmax(-1)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            out = model(token, attention_mask=mask, past_key_values=cache, use_cache=True)
            seen.append(out.logits)
    return seen


@pytest.mark.parametrize("chunk", [None, 2, 4])
def test_a_loop_with_a_cache_reads_what_one_plain_pass_does(model, directions, chunk):
    ids = torch.tensor([PROMPTS[0]])
    with Monitor(model, directions) as monitor:
        seen = decode(model, ids, torch.ones_like(ids), 4, chunk)
        (trace,) = monitor.list_traces()
    tokens = [int(logits[0, -1].argmax()) for logits in seen[-5:-1]]
    check_traces(model, directions, [trace], [PROMPTS[0] + tokens], [PROMPTS[0]])
    assert trace.take_side("v_harm").shape == (6, 6) and trace.take_side("v_harm_resp").shape == (4, 6)


def test_generate_on_a_batch_padded_on_the_left(model, directions):
    ids, mask = pad(PROMPTS, left=True)
    with Monitor(model, directions) as monitor:
        out = model.generate(ids, attention_mask=mask, max_new_tokens=5, do_sample=False, pad_token_id=PAD)
        traces = monitor.list_traces()
    answers = out[:, ids.shape[1] :].tolist()
    wanted = [[*prompt, *answer[:-1]] for prompt, answer in zip(PROMPTS, answers, strict=True)]
    check_traces(model, directions, traces, wanted, PROMPTS)


@pytest.mark.parametrize("options", [{"prefill_chunk_size": 2}, {"prompt_lookup_num_tokens": 2}], ids=str)
def test_generate_in_chunks_and_with_drafted_tokens(model, directions, options):
    ids = torch.tensor([[5, 6, 7, 5, 6, 7, 5, 6]])
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": PAD}
    with Monitor(model, directions) as monitor:
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **settings, **options)
        (trace,) = monitor.list_traces([8])
    kept = trace.ids[: out.shape[1] - 1]
    assert list(kept) == out[0, :-1].tolist()
    check_traces(model, directions, [trace], [trace.ids], [ids[0]])


def test_a_recurrent_model():
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=60, hidden_size=32, num_hidden_layers=5, state_size=4, pad_token_id=PAD)
    model, directions = MambaForCausalLM(config).eval(), make_directions()
    model.generation_config.eos_token_id = None
    ids = torch.tensor([PROMPTS[0]])
    with Monitor(model, directions) as monitor:
        out = model.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=PAD)
        (trace,) = monitor.list_traces()
        monitor.clear()
        with torch.no_grad():  # its list of hidden states begins behind the first block
            model(out[:, :-1], use_cache=False)
        (plain,) = monitor.list_traces()
    assert list(trace.ids) == out[0, :-1].tolist() == list(plain.ids)
    assert (trace.prompt_tokens, plain.prompt_tokens) == (6, 9)
    for family in DIRECTIONS:
        np.testing.assert_allclose(trace.cosine[family], plain.cosine[family], atol=2e-5)


def test_a_batch_padded_on_the_right(model, directions):
    ids, mask = pad(PROMPTS, left=False)
    with Monitor(model, directions) as monitor, torch.no_grad():
        model(ids, attention_mask=mask)
        traces = monitor.list_traces()
    check_traces(model, directions, traces, PROMPTS, PROMPTS)


def test_a_row_is_over_at_its_end(model, directions):
    ids, mask = pad(PROMPTS, left=True)
    with Monitor(model, directions) as monitor:
        model.generate(ids, attention_mask=mask, max_new_tokens=6, do_sample=False, pad_token_id=PAD)
        whole = monitor.list_traces()
    end = whole[0].ids[len(PROMPTS[0]) + 2]
    stops = [
        next(
            (i for i, token in enumerate(trace.ids) if i >= trace.prompt_tokens and token == end),
            len(trace.ids),
        )
        for trace in whole
    ]
    monitor.ends = frozenset([end])
    assert [len(trace.ids) for trace in monitor.list_traces()] == stops
    assert stops[0] < len(whole[0].ids)
    assert len(monitor.list_traces()[0].cosine["v_ref"]) == stops[0]


def test_requests_that_take_turns_are_told_apart(model, directions):
    caches, seen = {}, {}
    with Monitor(model, directions) as monitor, torch.no_grad():
        for place, prompt in enumerate(PROMPTS):
            out = model(torch.tensor([prompt]), use_cache=True)
            caches[place], seen[place] = out.past_key_values, [int(out.logits[0, -1].argmax())]
        for _ in range(3):
            for place in (2, 0, 1):
                out = model(torch.tensor([seen[place][-1:]]), past_key_values=caches[place], use_cache=True)
                seen[place].append(int(out.logits[0, -1].argmax()))
        traces = monitor.list_traces()
    check_traces(model, directions, traces, [p + seen[i][:-1] for i, p in enumerate(PROMPTS)], PROMPTS)
    monitor.clear()
    assert monitor.list_traces() == []


def test_requests_in_threads_are_told_apart(model, directions):
    def answer(prompt):
        ids = torch.tensor([prompt])
        model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False, pad_token_id=PAD
        )

    with Monitor(model, directions) as monitor:
        threads = [threading.Thread(target=answer, args=(prompt,)) for prompt in PROMPTS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        traces = sorted(
            monitor.list_traces(), key=lambda trace: PROMPTS.index(list(trace.ids[: trace.prompt_tokens]))
        )
    check_traces(model, directions, traces, [trace.ids for trace in traces], PROMPTS)
    assert all(len(trace.ids) == trace.prompt_tokens + 7 for trace in traces)


def test_tokens_that_are_taken_back_are_forgotten(model, directions):
    """As speculative decoding does: drafted tokens are read, and the cache is cropped to those that stay."""
    with Monitor(model, directions) as monitor, torch.no_grad():
        cache = model(torch.tensor([PROMPTS[0]]), use_cache=True).past_key_values
        model(torch.tensor([[20, 21, 22]]), past_key_values=cache, use_cache=True)
        cache.crop(-2)
        model(torch.tensor([[30]]), past_key_values=cache, use_cache=True)
        (trace,) = monitor.list_traces([len(PROMPTS[0])])
    check_traces(model, directions, [trace], [[*PROMPTS[0], 20, 30]], [PROMPTS[0]])


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_the_same_to_the_last_bit(family):
    model = build_model(family, seed=3)
    model.generation_config.eos_token_id = None
    ids, mask = pad(PROMPTS, left=True)
    options = {
        "max_new_tokens": 5, "do_sample": False, "pad_token_id": PAD,
        "return_dict_in_generate": True, "output_logits": True,
    }  # fmt: skip
    before = model.generate(ids, attention_mask=mask, **options)
    with Monitor(model, make_directions()) as monitor:
        during = model.generate(ids, attention_mask=mask, **options)
    assert len(monitor.list_traces()) == 3
    after = model.generate(ids, attention_mask=mask, **options)
    for other in (during, after):
        assert torch.equal(before.sequences, other.sequences)
        assert all(torch.equal(a, b) for a, b in zip(before.logits, other.logits, strict=True))
    hooks = [m for m in model.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooks == [m for m in build_model(family).modules() if m._forward_hooks or m._forward_pre_hooks]


def test_the_bits_would_tell(model, directions):
    """The twin: a hook that writes changes the logits."""
    ids, mask = pad(PROMPTS, left=True)
    before = decode(model, ids, mask, 1)
    handle = model.model.layers[2].register_forward_pre_hook(lambda block, args: (args[0] * 1.001, *args[1:]))
    changed = decode(model, ids, mask, 1)
    handle.remove()
    assert not torch.equal(before[0], changed[0])


def test_it_agrees_with_the_readings_of_the_study():
    backbone = build_backbone()
    directions = extract_directions(backbone, *split_extraction(*make_extraction()), STUDY)
    prompt, answer = "Tell me a tale.", "Once upon a time."
    ids, tokens = backbone.chat.encode_prompts([prompt])[0], backbone.chat.tokenize(answer)
    with Monitor(backbone, directions) as monitor, torch.no_grad():
        backbone.model(torch.tensor([[*ids, *tokens]]))
        (trace,) = monitor.list_traces([len(ids)])
    plane = project_conversations(backbone, [prompt], None, directions)
    inst, post = backbone.chat.locate_positions(ids)
    np.testing.assert_allclose(trace.take_side("v_harm")[inst], plane["inst_harm"][0], atol=2e-6)
    np.testing.assert_allclose(trace.take_side("v_ref")[post], plane["post_ref"][0], atol=2e-6)
    found = project_tokens(backbone, [prompt], [answer], directions)
    np.testing.assert_allclose(
        trace.take_side("v_harm_resp"), found["token_harm"][0, : len(tokens)], atol=2e-6
    )
    np.testing.assert_allclose(trace.take_side("v_ref_resp"), found["token_ref"][0, : len(tokens)], atol=2e-6)


def test_products_are_cosines_times_lengths(model, directions):
    with Monitor(model, directions, slots=(2,)) as monitor, torch.no_grad():
        states = model(torch.tensor([PROMPTS[0]]), output_hidden_states=True).hidden_states[2][0]
        (trace,) = monitor.list_traces()
    lengths = states.norm(dim=-1).numpy()
    np.testing.assert_allclose(trace.dot["v_harm"][:, 0], trace.cosine["v_harm"][:, 0] * lengths, rtol=1e-4)


@pytest.mark.parametrize("held", [0, 100])
def test_states_that_wait_and_those_that_do_not_give_the_same(model, directions, monkeypatch, held):
    """A prompt's states are too many to wait, a token's few: with 100, 6 x 32 numbers are projected at once."""
    ids = torch.tensor([PROMPTS[0]])
    found = []
    for limit in (harc.geometry.monitor.MOST_HELD, held):
        monkeypatch.setattr(harc.geometry.monitor, "MOST_HELD", limit)
        with Monitor(model, directions, slots=(1, 2, 5)) as monitor:
            decode(model, ids, torch.ones_like(ids), 2)
        found += monitor.list_traces()
    for family in DIRECTIONS:
        np.testing.assert_allclose(found[0].cosine[family], found[1].cosine[family], atol=1e-6)


def test_a_block_that_writes_into_what_it_was_given_is_read_before(model, directions):
    def write(block, args):
        args[0].add_(1.0)

    found = []
    for writes in (False, True):
        with Monitor(model, directions, slots=(2,)) as monitor, torch.no_grad():
            handle = model.model.layers[2].register_forward_pre_hook(write) if writes else None
            model(torch.tensor([PROMPTS[0]]))
            if handle:
                handle.remove()
        found += monitor.list_traces()
    np.testing.assert_array_equal(found[0].cosine["v_ref"], found[1].cosine["v_ref"])


def test_an_adapter_and_embeddings(directions):
    from peft import LoraConfig, get_peft_model

    model = build_model("Llama", seed=3)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    embeddings = model.get_input_embeddings()(torch.tensor([PROMPTS[0]]))
    with Monitor(adapted, directions) as monitor, torch.no_grad():
        adapted(torch.tensor([PROMPTS[0]]))
        adapted(inputs_embeds=embeddings)
        first, second = monitor.list_traces()
    np.testing.assert_allclose(first.cosine["v_harm"], second.cosine["v_harm"], atol=1e-6)
    assert set(second.ids) == {UNKNOWN} and list(first.ids) == PROMPTS[0]


def test_what_cannot_be_told_apart_is_refused_when_asked(model, directions):
    with Monitor(model, directions) as monitor, torch.no_grad():
        cache = model(torch.tensor([[5, 6], [7, 8]]), use_cache=True).past_key_values
        cache.reorder_cache(torch.tensor([1]))
        model(torch.tensor([[9]]), past_key_values=cache, use_cache=True)
    with pytest.raises(
        ModelError, match="expected the same rows in every pass of a batch; found 2 rows, then 1"
    ):
        monitor.list_traces()
    with Monitor(model, directions) as monitor, torch.no_grad():
        model.model(torch.tensor([[5, 6, 7]]), cu_seq_lens_q=torch.tensor([0, 2, 3]))
    with pytest.raises(ModelError, match="several requests packed into one row"):
        monitor.list_traces()


def test_states_that_are_not_finite_are_one_line(directions):
    model = build_model("Llama", seed=3)
    model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    with Monitor(model, directions) as monitor, torch.no_grad():
        model(torch.tensor([PROMPTS[0]]))
    with pytest.raises(ModelError, match="expected finite activations"):
        monitor.list_traces()


@pytest.mark.parametrize(("slots", "hidden"), [(6, 16), (5, 32)])
def test_directions_of_another_model_are_refused(model, slots, hidden):
    with pytest.raises(ModelError, match=f"6 slots of width 32.* found {slots} slots of width {hidden}"):
        Monitor(model, make_directions(slots, hidden))


def test_bad_arguments_are_one_line(model, directions):
    with pytest.raises(ConfigError, match=r"some of 0..5; found 6"):
        Monitor(model, directions, slots=(1, 6))
    with Monitor(model, directions) as monitor, torch.no_grad():
        model(torch.tensor([PROMPTS[0]]))
    with pytest.raises(ConfigError, match="expected 1 numbers"):
        monitor.list_traces([1, 2])


def test_the_prompt_side_alone_will_do(model, directions):
    with Monitor(model, replace(directions, v_harm_resp=None, v_ref_resp=None)) as monitor, torch.no_grad():
        model(torch.tensor([PROMPTS[0]]))
    assert monitor.list_traces()[0].cosine.keys() == {"v_harm", "v_ref"}
