"""Interventions on the residual stream: identities, what readers see, and that nothing stays behind."""

from dataclasses import replace

import pytest
import torch
from tiny_models import build_backbone, build_model

from harc.core.errors import ConfigError, DataError
from harc.model import likelihood
from harc.model.activations import observe_slots
from harc.model.generation import answer_prompts
from harc.model.intervention import Intervention, intervene, orthonormalize
from harc.model.likelihood import measure_likelihoods
from harc.model.steering import Condition, Steering, SteeringHooks

PROMPTS = ("how do i bake bread ?", "say it", "what is a cat , and why is it so ?")
FAMILIES = ("Llama", "Qwen2", "Gemma2", "GPTNeoX")


def draw(rows: int, hidden: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, hidden, generator=torch.Generator().manual_seed(seed))


def everywhere(backbone, span: torch.Tensor, **changes) -> Intervention:
    return Intervention(spans=dict.fromkeys(range(backbone.n_slots), span), **changes)


def read_streams(backbone, ids: list[int]) -> dict[int, torch.Tensor]:
    seen = {}
    with observe_slots(backbone, range(backbone.n_slots), seen.__setitem__, stop=False), torch.no_grad():
        backbone.body(input_ids=torch.tensor([ids]), use_cache=False)
    return seen


def answer(backbone) -> list[str]:
    prompts = backbone.chat.encode_prompts(PROMPTS)
    return [found.text for found in answer_prompts(backbone, prompts, max_new_tokens=6, batch_size=2)]


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_is_left_along_what_is_projected_out_at_any_slot(family):
    backbone = build_backbone(family)
    span = orthonormalize(draw(3, backbone.hidden_size))
    ids = backbone.chat.encode_prompts(PROMPTS[:1])[0]
    plain = read_streams(backbone, ids)
    with intervene(backbone, everywhere(backbone, span)):
        left = read_streams(backbone, ids)
    for slot, stream in left.items():
        assert (plain[slot] @ span.T).abs().max() > 1e-3  # there was something to take out
        assert (stream @ span.T).abs().max() < 1e-5 * stream.abs().max().clamp_min(1)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_plain_at_strength_0_others_at_1_and_plain_again_afterwards(family):
    backbone = build_backbone(family)
    plain = answer(backbone)
    span = orthonormalize(draw(8, backbone.hidden_size))
    with intervene(backbone, everywhere(backbone, span, strength=0.0)):
        assert answer(backbone) == plain
    with intervene(backbone, everywhere(backbone, span)):
        assert answer(backbone) != plain
    assert answer(backbone) == plain


def test_projecting_twice_is_projecting_once():
    backbone = build_backbone()
    once = everywhere(backbone, orthonormalize(draw(2, backbone.hidden_size)))
    ids = backbone.chat.encode_prompts(PROMPTS[:1])[0]
    with intervene(backbone, once):
        first = read_streams(backbone, ids)
        with intervene(backbone, once):
            second = read_streams(backbone, ids)
    for slot in first:
        torch.testing.assert_close(first[slot], second[slot], atol=1e-4, rtol=1e-3)


def test_one_decoded_batch_is_what_each_prompt_gets_alone():
    backbone = build_backbone()
    removed = everywhere(backbone, orthonormalize(draw(2, backbone.hidden_size)))
    with intervene(backbone, removed):
        together = answer(backbone)
        alone = [
            answer_prompts(backbone, [ids], max_new_tokens=6, batch_size=1)[0].text
            for ids in backbone.chat.encode_prompts(PROMPTS)
        ]
    assert together == alone


def test_a_shift_moves_the_stream_by_itself_from_its_slot_on():
    backbone = build_backbone()
    shift = draw(1, backbone.hidden_size)[0]
    ids = backbone.chat.encode_prompts(PROMPTS[:1])[0]
    plain = read_streams(backbone, ids)
    with intervene(backbone, Intervention(shifts={2: shift})):
        moved = read_streams(backbone, ids)
    assert torch.equal(moved[1], plain[1]) and not torch.equal(moved[3], plain[3])
    torch.testing.assert_close(moved[2], plain[2] - shift)


def test_hooks_are_gone_after_an_error():
    backbone = build_backbone()
    plain = answer(backbone)
    with (
        pytest.raises(RuntimeError, match="stop"),
        intervene(backbone, everywhere(backbone, orthonormalize(draw(8, backbone.hidden_size)))),
    ):
        raise RuntimeError("stop")
    assert answer(backbone) == plain
    assert not any(block._forward_pre_hooks or block._forward_hooks for block in backbone.blocks)


def test_rows_that_add_no_direction_are_left_out():
    rows = draw(2, 6)
    found = orthonormalize(torch.stack([rows[0], torch.zeros(6), 3 * rows[0], rows[1], rows[0] - rows[1]]))
    assert found.shape == (2, 6)
    torch.testing.assert_close(found @ found.T, torch.eye(2))
    assert len(orthonormalize(torch.zeros(2, 6))) == 0


@pytest.mark.parametrize(
    ("intervention", "message"),
    [
        (Intervention(shifts={6: torch.zeros(32)}), r"expected slots 0\.\.5; found 6"),
        (Intervention(shifts={0: torch.zeros(31)}), "expected vectors of 32 numbers.*found 31"),
        (Intervention(spans={1: torch.ones(1, 32)}), "slot 1: expected orthonormal rows; found .* off by 31"),
    ],
)
def test_what_does_not_fit_the_model_is_told(intervention, message):
    with pytest.raises(ConfigError, match=message), intervene(build_backbone(), intervention):
        raise AssertionError("never reached")


def test_likelihoods_are_those_of_the_tokens_one_by_one(monkeypatch):
    backbone = build_backbone()
    prompts = backbone.chat.encode_prompts(PROMPTS[:2])
    answers = [backbone.chat.tokenize(text) for text in ("a cat", "bread is good , say i")]
    found = measure_likelihoods(backbone, prompts, answers)
    for prompt, tokens, value in zip(prompts, answers, found, strict=True):
        total = 0.0
        for place, token in enumerate(tokens):
            logits = backbone.causal_lm(torch.tensor([[*prompt, *tokens[:place]]])).logits[0, -1]
            total += float(logits.log_softmax(-1)[token])
        assert value == pytest.approx(total / len(tokens), abs=1e-4)
    monkeypatch.setattr(likelihood, "KEEP", "no family's argument")
    assert measure_likelihoods(backbone, prompts, answers) == pytest.approx(found, abs=1e-5)
    with pytest.raises(DataError, match="answer 0: expected at least one token; found none"):
        measure_likelihoods(backbone, prompts[:1], [[]])


def test_what_a_steered_model_adds_is_taken_out_too():
    backbone = replace(build_backbone(), model=build_model("Llama"))
    push = torch.ones(backbone.hidden_size)
    steering = Steering(push, {2: 9 * push}, Condition(0, -2.0, "above", 1, 1, 1))  # steers every row
    prompts = backbone.chat.encode_prompts(PROMPTS[:2])
    answers = [backbone.chat.tokenize(text) for text in ("a cat", "bread")]
    span = orthonormalize(push[None])
    with intervene(backbone, Intervention(spans={2: span})):
        plain = measure_likelihoods(backbone, prompts, answers)
    SteeringHooks(backbone, steering)
    assert measure_likelihoods(backbone, prompts, answers) != pytest.approx(plain, abs=1e-3)
    with intervene(backbone, Intervention(spans={2: span})):
        assert measure_likelihoods(backbone, prompts, answers) == pytest.approx(plain, abs=1e-3)
