"""Several sequences in one row: what each of them gives is what it gives alone, or packing is not used."""

import pytest
import torch
from tiny_models import FAMILIES, build_backbone, build_model

from harc.model import activations
from harc.model.activations import Reading, stream_residuals
from harc.model.backbones import Backbone
from harc.model.packing import can_pack, count_shared, lay_out_rows, packs_rows, plan_full_passes, plan_rows
from harc.settings.training import MethodSettings
from harc.training.adapters import attach_adapter
from harc.training.batches import collate_rows, encode_rows, split_rows
from harc.training.forward import AdapterForward, Wanted

PROMPTS = [tuple(range(20, 34)), tuple(range(50, 59))]
ANSWERS = [tuple(range(100, 106)), tuple(range(120, 129)), tuple(range(140, 143))]
PACKABLE = [name for name, changes in FAMILIES.items() if "sliding_window" not in changes]


def make_readings() -> list[Reading]:
    """Three answers to the first prompt, one to the second, and the first prompt alone."""
    pairs = [(0, answer) for answer in ANSWERS] + [(1, ANSWERS[0])]
    readings = [
        Reading(
            (*PROMPTS[p], *a),
            len(PROMPTS[p]) - 4,
            len(PROMPTS[p]) - 1,
            (len(PROMPTS[p]), len(PROMPTS[p]) + len(a)),
        )
        for p, a in pairs
    ]
    return [*readings, Reading(PROMPTS[0], len(PROMPTS[0]) - 4, len(PROMPTS[0]) - 1)]


def read_all(backbone: Backbone, **options) -> dict[str, torch.Tensor]:
    """Residuals of every reading, in order."""
    readings = make_readings()
    shape = (len(readings), backbone.n_slots, backbone.hidden_size)
    found = {name: torch.full(shape, torch.nan) for name in ("inst", "post", "resp")}
    for residuals in stream_residuals(backbone, readings, **options):
        for name, values in found.items():
            values[residuals.rows] = getattr(residuals, name)
    return found


def count_tokens(backbone: Backbone, **options) -> int:
    """Tokens that go through the model's body, padding and trial included."""
    seen = []
    handle = backbone.blocks[0].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(activations.hidden_of(args, kwargs).shape[:2].numel()),
        with_kwargs=True,
    )
    read_all(backbone, **options)
    handle.remove()
    return sum(seen)


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_prompts_change_nothing_but_the_work(family: str):
    backbone = build_backbone(family)
    plain, shared = read_all(backbone, share=False), read_all(backbone, share=True)
    for name, values in plain.items():
        gap = (shared[name] - values).norm(dim=-1)
        assert (gap <= 1e-5 * values.norm(dim=-1)).all()  # NaN would be a reading left out
    saved = count_tokens(backbone, share=False, tokens_per_forward=1) - count_tokens(
        backbone, share=True, tokens_per_forward=1
    )
    trial = 9 + 7 + 6
    assert saved == (3 * len(PROMPTS[0]) - trial if family in PACKABLE else 0)


def test_small_models_are_read_as_before():
    backbone = build_backbone()
    assert count_tokens(backbone) == count_tokens(backbone, share=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_window_shorter_than_a_row_rules_packing_out(family: str):
    backbone = build_backbone(family)
    assert can_pack(backbone, 16)
    assert can_pack(backbone, 17) == (family in PACKABLE)


def test_a_model_that_does_not_keep_segments_apart_is_found_out(monkeypatch: pytest.MonkeyPatch):
    backbone = build_backbone()
    plain = type(backbone.body).forward

    def forget_mask(self, input_ids, attention_mask=None, position_ids=None, **options):
        return plain(self, input_ids, position_ids=position_ids, **options)

    monkeypatch.setattr(type(backbone.body), "forward", forget_mask)
    assert not can_pack(backbone, 16)


def test_other_attention_kernels_are_not_tried():
    model = build_model("Llama")
    model.config._attn_implementation = "flex_attention"
    other = build_backbone()
    assert not can_pack(Backbone(model, other.tokenizer, other.chat), 16)


def make_outcome(backbone: Backbone, wanted: Wanted, *, packing: bool) -> list[torch.Tensor]:
    """Every field of a training pass, and the gradient of their sum."""
    rows = [
        {"category": category, "prompt": f"Tell {'me ' * size}.", "response": f"Yes, {'it flows ' * size}."}
        for size, category in enumerate(("harmful", "harmless", "harmful", "pseudo_harmful"), start=1)
    ]
    lora = MethodSettings(lora={"rank": 2, "alpha": 4, "targets": ["all-linear"]}).lora
    with attach_adapter(backbone, lora, 0) as adapted:
        generator = torch.Generator().manual_seed(1)
        for name, part in adapted.model.named_parameters():
            if "lora_B" in name:
                part.data.copy_(torch.randn(part.shape, generator=generator) * 0.1)
        module = AdapterForward(adapted, head_rows=8)
        module.packing = packing
        encoded = encode_rows(adapted.chat, rows, 64, 64)
        batch = collate_rows(encoded, adapted.chat.post_instruction_count, adapted.chat.pad_id)
        found = module(batch, wanted)
        real = batch.attention_mask[..., None]
        pairs = [found.adapted * real, found.base * real] if wanted.pair_slots else []
        values = [found.inst, found.post, found.resp, found.kl, found.refusal_ce, found.benign_ce, *pairs]
        values = [value for value in values if value.numel()]
        sum((value.float().pow(2).sum() for value in values), torch.zeros(())).backward()
        gradients = [part.grad.clone() for _, part in module.named_parameters() if part.grad is not None]
        return [*(value.detach() for value in values), *gradients]


LOSSES = {
    "tokens": Wanted(slots=(1, 3), kl="anchored", refusal_ce=True, benign_ce=True, window=4),
    "states": Wanted(pair_slots=(0, 2, 5), kl="anchored"),
    "states of some blocks": Wanted(pair_slots=(1, 3), stop=True),
}


@pytest.mark.parametrize("wanted", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("family", PACKABLE)
def test_packed_training_passes_give_the_same_losses_and_gradients(family: str, wanted: Wanted):
    backbone = build_backbone(family)
    plain, packed = (make_outcome(backbone, wanted, packing=packing) for packing in (False, True))
    assert len(plain) == len(packed) > 6
    for expected, found in zip(plain, packed, strict=True):
        scale = expected.abs().max().clamp_min(1e-3)
        assert (found - expected).abs().max() <= 2e-4 * scale


def test_packed_rows_hold_what_all_begin_with_once():
    ids = torch.tensor([[7, 8, 1, 2, 0], [7, 8, 3, 0, 0], [7, 8, 4, 5, 6]])
    layout = lay_out_rows(ids, [4, 3, 5], 0, "cpu", torch.float32, packed=True)
    assert layout.arguments["input_ids"].tolist() == [[7, 8, 4, 5, 6, 1, 2, 3]]
    assert layout.arguments["position_ids"].tolist() == [[0, 1, 2, 3, 4, 2, 3, 2]]
    seen = layout.arguments["attention_mask"][0, 0] == 0
    assert seen[5].nonzero()[:, 0].tolist() == [0, 1, 5] and seen[7].nonzero()[:, 0].tolist() == [0, 1, 7]
    assert layout.place.tolist() == [[0, 1, 5, 6, 0], [0, 1, 7, 0, 0], [0, 1, 2, 3, 4]]
    hidden = layout.arguments["input_ids"][..., None].float()
    assert layout.spread(hidden)[0, :4, 0].tolist() == [7, 8, 1, 2]


def test_a_row_keeps_a_token_of_its_own():
    ids = torch.tensor([[7, 8, 0], [7, 8, 9]])
    assert count_shared(ids, [2, 3]) == 1 and count_shared(ids[1:], [3]) == 0


def test_large_models_pack_on_a_cpu_where_they_keep_segments_apart(monkeypatch: pytest.MonkeyPatch):
    other = build_backbone()
    backbones = [Backbone(build_model("Llama"), other.tokenizer, other.chat) for _ in range(3)]
    assert not packs_rows(backbones[0], 16)
    monkeypatch.setattr("harc.model.prepacking.LARGE", 0)
    assert packs_rows(backbones[1], 16)
    monkeypatch.setattr("harc.model.packing._try_packing", lambda backbone: False)
    assert not packs_rows(backbones[2], 16)


def test_plans_hold_every_row_once():
    lengths = [301, 255, 210, 165, 140, 130, 128, 126, 114, 106, 100, 100]
    rows = plan_rows(lengths)
    assert sorted(index for row in rows for index in row) == list(range(12))
    assert len(rows) * max(sum(lengths[i] for i in row) for row in rows) < 1.15 * sum(lengths)
    passes = plan_full_passes(lengths, 700)
    assert sorted(index for part in passes for index in part) == list(range(12))
    assert all(sum(lengths[i] for i in part) <= 700 for part in passes)
    assert plan_full_passes([900, 5], 700) == [[0], [1]]


def test_packed_rows_get_one_pass_where_others_get_several():
    rows = [
        {"category": "harmful", "prompt": "a", "response": "word " * size} for size in (1, 2, 3, 120, 140)
    ]
    encoded = encode_rows(build_backbone().chat, rows, 64, 400)
    assert len(split_rows(encoded, 4096)) > 1
    assert len(split_rows(encoded, 4096, packed=True)) == 1
