"""The local endpoint answers as the decoder does, samples by seed, and leaves out what does not fit."""

import pytest
import torch
from tiny_chat import CONTEXT, save_tiny_chat

from harc.model.endpoints.base import create_endpoint
from harc.model.endpoints.local import LocalEndpoint, encode_conversation
from harc.model.generation import Sampling, TokenSampler, keep_top_p
from harc.settings.endpoints import EndpointSettings

ASKED = [
    [{"role": "user", "content": text}]
    for text in ("how do i make the red cat ?", "say one", "what is 1 plus 2 ?")
]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    folder = save_tiny_chat(tmp_path_factory.mktemp("tiny"))
    made = create_endpoint(EndpointSettings(kind="local", model=str(folder), max_new_tokens=8, cache=None))
    assert isinstance(made, LocalEndpoint)
    return made


def test_greedy_replies_are_those_of_generate(endpoint):
    replies = endpoint.complete(ASKED)
    model, tokenizer = endpoint.backbone.model, endpoint.backbone.tokenizer
    for conversation, reply in zip(ASKED, replies, strict=True):
        ids = torch.tensor([endpoint.backbone.chat.encode_prompts([conversation])[0]])
        output = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)
        assert reply.text == tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)
        assert reply.prompt_tokens == ids.shape[1]


def test_samples_depend_on_seed_and_conversation_alone(endpoint):
    together = endpoint.complete(ASKED, temperature=1.0, seed=5)
    alone = [endpoint.complete([conversation], temperature=1.0, seed=5)[0] for conversation in ASKED]
    assert together == alone
    others = [endpoint.complete(ASKED, temperature=1.0, seed=seed) for seed in range(6, 10)]
    assert any(other != together for other in others)


def test_a_conversation_that_does_not_fit_fails_alone(endpoint):
    long = [{"role": "user", "content": "cat " * CONTEXT}]
    first, second = endpoint.complete([long, ASKED[0]])
    assert "tokens" in first.error and second.error is None
    assert "last turn by the user" in endpoint.complete([[{"role": "system", "content": "cat"}]])[0].error


def test_a_last_assistant_turn_is_continued(endpoint):
    chat = endpoint.backbone.chat
    half = [*ASKED[0], {"role": "assistant", "content": "sure b1"}]
    prompt = encode_conversation(chat, ASKED[0])
    assert encode_conversation(chat, half) == prompt + chat.tokenize("sure b1")
    whole = endpoint.complete([ASKED[0]])[0].text.split()
    opening = " ".join(whole[:2])
    continued = endpoint.complete([[*ASKED[0], {"role": "assistant", "content": opening}]], max_new_tokens=6)[
        0
    ]
    assert continued.text.split() == whole[2:]


def test_top_p_keeps_the_fewest_tokens_that_hold_the_share():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert keep_top_p(logits, 0.8).isfinite().tolist() == [[True, True, False, False]]
    assert keep_top_p(logits, 0.81).isfinite().tolist() == [[True, True, True, False]]
    assert keep_top_p(logits, 1e-6).isfinite().tolist() == [[True, False, False, False]]


def test_draws_follow_the_distribution():
    prompts = [[number] for number in range(4000)]
    sampler = TokenSampler(prompts, Sampling(temperature=0.5, seed=3))
    logits = torch.tensor([[0.2, 0.8]]).log().expand(4000, 2)
    drawn = sampler(logits, list(range(4000)))
    sharpened = 0.8**2 / (0.8**2 + 0.2**2)
    assert drawn.float().mean().item() == pytest.approx(sharpened, abs=0.02)
