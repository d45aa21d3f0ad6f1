"""One base under several adapters: the same answers as each loaded by itself, and a base that never changes."""

from dataclasses import replace

import pytest
import torch
from fixtures.tiny_adapters import BASE, save_adapter, save_base

from harc.core.errors import ModelError
from harc.model import shared_base
from harc.model.handle import ModelHandle
from harc.model.shared_base import SharedBase, can_share


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return ModelHandle(save_base(tmp_path_factory.mktemp("base") / "model"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return save_adapter(tmp_path_factory.mktemp("adapters") / "plain")


def state(backbone):
    return {name: value.clone() for name, value in backbone.model.state_dict().items()}


def test_a_shared_base_gives_what_loading_alone_gives_and_stays_as_it_is(base, plain):
    shared = SharedBase(base)
    before = state(shared.backbone)
    adapted = replace(base, method=plain)
    for handle in (base, adapted, base, adapted):
        found, alone = state(shared.open(handle)), state(handle.open(fold=True))
        assert found.keys() == alone.keys()
        assert all(torch.equal(found[name], alone[name]) for name in found)
    assert all(torch.equal(value, before[name]) for name, value in state(shared.backbone).items())
    changed = shared.open(adapted).model.state_dict()
    assert any(not torch.equal(value, before[name]) for name, value in changed.items())


def test_weights_that_no_adapter_changes_are_shared(base, plain):
    shared = SharedBase(base)
    adapted = shared.open(replace(base, method=plain)).model
    own = {name: part.data_ptr() for name, part in shared.backbone.model.named_parameters()}
    same = [name for name, part in adapted.named_parameters() if part.data_ptr() == own[name]]
    assert len(same) == len(own) - sum(any(t in name for t in BASE["target_modules"]) for name in own)


def test_a_base_that_an_adapter_changed_is_found(base, plain, monkeypatch):
    """The twin: without copies of the targets, folding writes into the base."""
    monkeypatch.setattr(shared_base, "_own_targets", lambda adapted: None)
    with pytest.raises(
        ModelError, match="expected an adapter that leaves its base as it is; found one that changed"
    ):
        SharedBase(base).open(replace(base, method=plain))


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        ({}, True),
        ({"use_rslora": True}, True),
        ({"use_dora": True}, False),
        ({"bias": "lora_only"}, False),
        ({"modules_to_save": ["lm_head"]}, False),
        ({"init_lora_weights": "pissa"}, False),
        ({"init_lora_weights": "olora"}, False),
    ],
)
def test_only_plain_adapters_share(base, tmp_path, changes, shared):
    handle = replace(base, method=save_adapter(tmp_path / "adapter", **changes))
    assert can_share(handle) is shared
    assert not can_share(replace(handle, device="auto"))
    assert not can_share(replace(handle, dtype="bfloat16"))


def test_another_base_is_refused(base, plain):
    with pytest.raises(ValueError, match="another base"):
        SharedBase(base).open(replace(base, method=plain, dtype="bfloat16"))


@pytest.mark.parametrize("stored", [None, torch.bfloat16], ids=["stored in float32", "stored in bfloat16"])
def test_in_16_bits_an_adapter_is_folded_where_nothing_was_rounded_before(tmp_path, plain, stored):
    """The sum of float32, rounded once, with the precisions that loading in 16 bits gives; elsewhere it stays apart."""
    handle = ModelHandle(save_base(tmp_path / "model", dtype=stored), method=plain, dtype="bfloat16")
    found = handle.open(fold=True).model
    assert hasattr(found, "merge_and_unload") is (stored is not None)
    if stored is not None:
        return
    exact = replace(handle, dtype="float32").open(fold=True).model.state_dict()
    assert all(torch.equal(value, exact[name].bfloat16()) for name, value in found.state_dict().items())
    loaded = replace(handle, method=None).open().model
    assert {name: value.dtype for name, value in found.named_buffers()} == {
        name: value.dtype for name, value in loaded.named_buffers()
    }
    assert {value.dtype for value in found.parameters()} == {value.dtype for value in loaded.parameters()}
