"""Every decoder family: slots, head, extraction and training without names of the family."""

import pytest
import torch
from tiny_models import FAMILIES, build_backbone

from harc.methods.harc import TokenTerms
from harc.model.activations import Reading, stream_residuals
from harc.settings.training import MethodSettings
from harc.training.adapters import attach_adapter
from harc.training.batches import collate_rows, encode_rows
from harc.training.forward import AdapterForward

IDS = tuple(range(20, 44))


@pytest.mark.parametrize("family", FAMILIES)
def test_slots_are_the_residual_stream(family: str):
    backbone = build_backbone(family)
    reading = Reading(IDS, t_inst=3, t_post=20, window=(21, 24))
    (found,) = stream_residuals(backbone, [reading])
    with torch.no_grad():
        hidden = backbone.model(torch.tensor([IDS]), output_hidden_states=True).hidden_states
    for slot in range(backbone.n_layers):
        torch.testing.assert_close(found.inst[0, slot], hidden[slot][0, 3])
        torch.testing.assert_close(found.post[0, slot], hidden[slot][0, 20])
        torch.testing.assert_close(found.resp[0, slot], hidden[slot][0, 21:24].mean(0))
    normed = backbone.final_norm(found.post[:, -1])
    torch.testing.assert_close(normed[0], hidden[-1][0, 20])


@pytest.mark.parametrize("family", FAMILIES)
def test_head_alone_gives_the_models_logits(family: str):
    backbone = build_backbone(family)
    ids = torch.tensor([IDS])
    with torch.no_grad():
        expected = backbone.model(ids).logits[0]
        final = backbone.body(input_ids=ids).last_hidden_state[0]
        torch.testing.assert_close(backbone.apply_head(final), expected)
    assert "forward" not in vars(backbone.body)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapter_learns_and_leaves_no_trace(family: str):
    backbone = build_backbone(family)
    before = {name: value.clone() for name, value in backbone.model.state_dict().items()}
    settings = MethodSettings(preset="sft", lora={"rank": 2, "alpha": 4, "targets": ["all-linear"]})
    rows = [
        {"category": category, "prompt": "Tell me.", "response": "No, it is wrong."}
        for category in ("harmful", "harmless")
    ]
    with attach_adapter(backbone, settings.lora, 0) as adapted:
        module = AdapterForward(adapted, head_rows=4)
        encoded = encode_rows(adapted.chat, rows, 64, 64)
        batch = collate_rows(encoded, adapted.chat.post_instruction_count, adapted.chat.pad_id)
        for loss in TokenTerms(settings).losses(module, [batch]):
            loss.backward()
        gradients = {name: part.grad for name, part in module.named_parameters() if part.requires_grad}
        assert all(gradients[name].abs().sum() > 0 for name in gradients if "lora_B" in name)
        assert {name.split(".layers.")[1].split(".")[0] for name in gradients} == set("01234")
    after = backbone.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(part.requires_grad for part in backbone.model.parameters())
