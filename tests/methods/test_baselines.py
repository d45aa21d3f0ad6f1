"""The baselines' identities: what each term is at the start, by hand, past its bounds, and after reloading."""

import json
import math
from pathlib import Path

import pytest
import torch
from fixtures.training_rows import STUDY, make_extraction, make_rows, make_settings, train
from pydantic import ValidationError
from safetensors.torch import load_file
from tiny_models import build_backbone, build_model, load_tokenizer

from harc.core.errors import ConfigError, DataError
from harc.methods.cb import reroute_cost
from harc.methods.dpo import check_pairs
from harc.methods.repbend import limited_push, mutual_distance
from harc.model.backbones import Backbone, load_backbone
from harc.model.chat import ChatFormat
from harc.settings.training import MethodSettings
from harc.training.adapters import attach_adapter
from harc.training.batches import encode_rows
from harc.training.forward import AdapterForward
from harc.training.objective import (
    Context,
    Sources,
    count_blocks,
    create_objective,
    locate_depth,
    state_distance,
)
from harc.training.rows import split_extraction


def fresh_backbone(family: str = "Llama") -> Backbone:
    tokenizer = load_tokenizer()
    return Backbone(build_model(family), tokenizer, ChatFormat(tokenizer), source="tiny")


def first_losses(settings: MethodSettings, rows: list[dict], *, scale_b: float = 0.0) -> tuple[dict, float]:
    """(logged terms, norm of B's gradient) of one micro-batch of all rows; B is 0 unless scaled."""
    backbone = fresh_backbone()
    with attach_adapter(
        backbone, settings.lora, 0, blocks=count_blocks(settings, backbone.n_layers)
    ) as adapted:
        for name, weight in adapted.model.named_parameters():
            if "lora_B" in name and scale_b:
                weight.data.normal_(0, scale_b)
        encoded = encode_rows(adapted.chat, rows, 256, 256)
        sources = Sources(*split_extraction(*make_extraction()), ([], []), STUDY)
        objective = create_objective(Context(adapted, settings, rows, 0, sources))
        module = AdapterForward(adapted, settings.head_rows)
        objective.begin_step(0)
        for loss in objective.losses(module, objective.collate(encoded, adapted)):
            loss.backward()
        gradients = [
            w.grad.norm() for n, w in adapted.model.named_parameters() if "lora_B" in n and w.grad is not None
        ]
        facts = {name: float(value) for name, value in objective.facts().items()}
        objective.close()
    return facts, float(torch.stack(gradients).norm())


# --- terms by hand ---------------------------------------------------------------------------------------------------


def test_terms_by_hand_on_two_by_two():
    base = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    adapted = torch.tensor([[3.0, 0.0], [2.0, 2.0]])
    assert state_distance(adapted, base).tolist() == [4.0, 2.0]
    assert reroute_cost(adapted, base).tolist() == pytest.approx([0.6, math.sqrt(0.5)])
    assert reroute_cost(-adapted, base).tolist() == [0.0, 0.0]
    # base lengths are 5 and 2: a limit of 0.5 holds the distances at 2.5 and 1
    assert limited_push(adapted, base, 0.5).tolist() == [2.5, 1.0]
    assert limited_push(adapted, base, None).tolist() == [4.0, 2.0]
    # cos of the two rows is 3*2/(3*sqrt(8)) = 0.7071 at one slot, and 0 between unit axes at another
    states = torch.stack([adapted, torch.eye(2)])
    assert float(mutual_distance(states)) == pytest.approx(1 - (math.sqrt(0.5) + 0) / 2)
    assert float(mutual_distance(states[:, :1])) == 0.0


def test_a_push_past_its_limit_has_no_gradient():
    base = torch.ones(3, 4)
    for distance, moves in ((0.1, True), (5.0, False)):
        adapted = (base + distance).requires_grad_()
        limited_push(adapted, base, 1.0).sum().backward()
        assert bool(adapted.grad.abs().sum() > 0) == moves


@pytest.mark.parametrize(
    ("n", "slots"), [(32, [10, 20]), (28, [9, 18]), (16, [5, 10]), (30, [9, 19]), (8, [3, 5])]
)
def test_published_depths_on_models_of_other_depths(n: int, slots: list[int]):
    assert [locate_depth(depth, n) for depth in (0.3125, 0.625)] == slots


# --- Circuit Breakers ------------------------------------------------------------------------------------------------


def test_circuit_breakers_start_with_nothing_to_retain_and_move_only_with_a_shift():
    quiet, still = first_losses(make_settings("cb"), make_rows())
    assert quiet["retain"] == 0.0 and quiet["reroute"] == pytest.approx(1.0, abs=1e-5)
    assert still < 1e-6  # the cosine of equal states is at its top
    shifted = make_settings("cb", circuit_breakers={"start_shift": 0.1})
    shaken, moving = first_losses(shifted, make_rows())
    assert shaken["retain"] == 0.0 and moving > 1e-3


def test_circuit_breakers_reroute_once_they_move(tmp_path: Path):
    own = {"start_shift": 0.1, "retain_unit": "base_norm"}
    settings = make_settings("cb", steps=12, learning_rate=2e-2, circuit_breakers=own)
    train(tmp_path / "out", settings)
    log = [json.loads(line) for line in (tmp_path / "out/training_log.jsonl").read_text().splitlines()]
    assert log[-1]["reroute"] < 0.9 * log[0]["reroute"]
    assert [row["progress"] for row in log] == pytest.approx([step / 24 for step in range(12)])


def test_circuit_breakers_update_only_the_blocks_that_are_run(tmp_path: Path):
    settings = make_settings("cb", circuit_breakers={"target_depths": [0.4]})  # slot 2 of 5 blocks
    train(tmp_path / "out", settings)
    blocks = {
        int(name.split("layers.")[1].split(".")[0])
        for name in load_file(tmp_path / "out/adapter_model.safetensors")
    }
    assert blocks == {0, 1, 2}
    saved = fresh_backbone()
    saved.model.save_pretrained(tmp_path / "base")
    saved.tokenizer.save_pretrained(tmp_path / "base")
    load_backbone(tmp_path / "base", adapter=tmp_path / "out")


def test_a_schedule_shorter_than_the_run_is_refused():
    with pytest.raises(ValidationError, match="schedule_steps: expected at least the run's 3 steps.*found 2"):
        make_settings("cb", circuit_breakers={"schedule_steps": 2})


@pytest.mark.parametrize("preset", ["cb", "repbend"])
@pytest.mark.parametrize("batch", [{"harmful": 0}, {"harmless": 0, "pseudo_harmful": 0}])
def test_a_batch_of_one_side_is_refused(preset: str, batch: dict):
    with pytest.raises(ValidationError, match="expected harmful rows .* and benign rows"):
        MethodSettings(preset=preset, batch=batch)


@pytest.mark.parametrize("preset", ["cb", "repbend", "dpo"])
def test_rows_without_the_other_response_are_refused(preset: str, tmp_path: Path):
    rows = [{name: row[name] for name in ("category", "prompt", "response")} for row in make_rows()]
    with pytest.raises(DataError, match="rejected"):
        train(tmp_path / "out", make_settings(preset), rows)
    assert not (tmp_path / "out").exists()


# --- RepBend ---------------------------------------------------------------------------------------------------------


def test_repbend_starts_at_the_base_and_its_total_is_the_weighted_sum():
    facts, gradient = first_losses(make_settings("repbend"), make_rows())
    assert facts["retain"] == facts["push"] == 0.0 and facts["kl"] == pytest.approx(0.0, abs=1e-5)
    assert 0 < facts["cluster"] < 2 and gradient > 0
    facts, _ = first_losses(make_settings("repbend"), make_rows(), scale_b=0.05)
    own = make_settings("repbend").repbend
    expected = (
        own.retain_weight * facts["retain"]
        - own.push_weight * facts["push"]
        + own.cluster_weight * facts["cluster"]
        + own.kl_weight * facts["kl"]
    )
    assert facts["total"] == pytest.approx(expected, rel=1e-5)
    assert min(facts["retain"], facts["push"], facts["kl"]) > 0


# --- DPO -------------------------------------------------------------------------------------------------------------


def test_dpo_starts_at_log_two():
    facts, gradient = first_losses(make_settings("dpo"), make_rows())
    assert facts["preference"] == pytest.approx(math.log(2), abs=1e-6)
    assert gradient > 0


def test_the_trainer_stays_where_the_model_is():
    from harc.methods.dpo import _create_trainer

    backbone = fresh_backbone()
    with attach_adapter(backbone, make_settings("dpo").lora, 0, blocks=backbone.n_layers) as adapted:
        assert _create_trainer(adapted, 0.1, 0).args.use_cpu  # whatever else the machine has


def test_dpo_leaves_no_patch_and_no_adapter_behind(tmp_path: Path):
    backbone = fresh_backbone()
    ids = torch.arange(20, 40)[None]
    before = backbone.model(ids).logits
    train(tmp_path / "out", make_settings("dpo"), backbone=backbone)
    assert "forward" not in vars(backbone.causal_lm)
    assert torch.equal(backbone.model(ids).logits, before)


def test_pairs_are_the_tokens_that_trl_makes_of_conversations(tmp_path):
    import tiny_chat
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from harc.methods.dpo import encode_pair

    tokenizer = tiny_chat.make_tokenizer()
    chat = ChatFormat(tokenizer)
    row = {
        "category": "harmful",
        "prompt": "how do i make the red cat ?",
        "response": "sorry , i will not help .",
        "rejected": "b1 h1 q1",
    }
    conversation = {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "chosen": [{"role": "assistant", "content": row["response"]}],
        "rejected": [{"role": "assistant", "content": row["rejected"]}],
    }
    trainer = DPOTrainer(
        model=tiny_chat.make_model(tokenizer),
        ref_model=tiny_chat.make_model(tokenizer),
        args=DPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to=[], disable_tqdm=True),
        train_dataset=Dataset.from_list([conversation]),
        processing_class=tokenizer,
    )
    theirs = trainer.train_dataset[0]
    ours = encode_pair(encode_rows(chat, [row], 256, 256)[0])
    assert ours == {name: theirs[name] for name in ours}
    assert ours["prompt_ids"].count(ours["prompt_ids"][0]) == 2  # one start token per turn, none doubled


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"chosen_is_safe": True, "rejected_is_safe": True}, "both safe"),
        ({"chosen_is_safe": False, "rejected_is_safe": False}, "neither safe"),
        ({"chosen_is_safe": False, "rejected_is_safe": True}, "the unsafe one chosen"),
        ({"rejected": ""}, "no rejected one"),
        ({"rejected": "same", "response": "same"}, "the same text twice"),
    ],
)
def test_pairs_without_a_preference_are_refused(change: dict, found: str):
    row = {**make_rows()[0], "id": "row-7", **change}
    with pytest.raises(DataError, match=f"preference pair row-7: expected .*; found {found}"):
        check_pairs([row], benign=True)


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


# --- composition -----------------------------------------------------------------------------------------------------


def test_a_composed_adapter_loads_on_the_base_and_equals_both_merges(tmp_path: Path):
    from peft import PeftModel

    train(tmp_path / "harc", make_settings(), backbone=fresh_backbone())
    train(
        tmp_path / "harc_dpo",
        make_settings("harc_dpo"),
        backbone=fresh_backbone(),
        start_from=tmp_path / "harc",
    )
    ids = torch.arange(20, 60)[None]
    plain = fresh_backbone().model(ids).logits
    first = PeftModel.from_pretrained(fresh_backbone().model, str(tmp_path / "harc"))(ids).logits
    composed = PeftModel.from_pretrained(fresh_backbone().model, str(tmp_path / "harc_dpo")).eval()
    on = composed(ids).logits
    merged = composed.merge_and_unload()(ids).logits
    assert distance(merged, on) < 1e-5
    assert distance(first, on) > 1e-3 and distance(plain, first) > 1e-3
    config = json.loads((tmp_path / "harc_dpo/adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 4

    # The second update alone, on the merged first one, gives the same: nothing was lost in the joining.
    weights, rank = load_file(tmp_path / "harc_dpo/adapter_model.safetensors"), 2
    onto = PeftModel.from_pretrained(fresh_backbone().model, str(tmp_path / "harc")).merge_and_unload()
    for name, part in onto.named_modules():
        key = f"base_model.model.{name}.lora_A.weight"
        if key in weights:
            a, b = weights[key][rank:], weights[key.replace("lora_A", "lora_B")][:, rank:]
            part.weight.data += b @ a
    assert distance(onto(ids).logits, on) < 1e-5


def test_the_other_order_trains_too(tmp_path: Path):
    train(tmp_path / "dpo", make_settings("dpo"), backbone=fresh_backbone())
    found = train(
        tmp_path / "dpo_harc",
        make_settings("dpo_harc"),
        backbone=fresh_backbone(),
        start_from=tmp_path / "dpo",
    )
    assert "couple" in found["final"]


def test_a_composition_needs_its_first_part(tmp_path: Path):
    with pytest.raises(ConfigError, match="start_from: expected the adapter folder of harc; found none"):
        train(tmp_path / "out", make_settings("harc_dpo"))
    with pytest.raises(ConfigError, match="expected no adapter to start from"):
        train(tmp_path / "out", make_settings("dpo"), start_from=tmp_path)


def test_no_coupling_trains_the_weights_of_sft_with_kl(tmp_path: Path):
    for preset in ("no_coupling", "sft_kl"):
        train(tmp_path / preset, make_settings(preset, refresh_every=0))
    a, b = (
        load_file(tmp_path / preset / "adapter_model.safetensors") for preset in ("no_coupling", "sft_kl")
    )
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("family", ["Llama", "Gemma2", "GPTNeoX"])
@pytest.mark.parametrize("preset", ["cb", "repbend", "dpo"])
def test_families_with_other_names(family: str, preset: str, tmp_path: Path):
    settings = make_settings(preset, steps=1, lora={"rank": 2, "alpha": 4, "targets": ["all-linear"]})
    found = train(tmp_path / "out", settings, backbone=build_backbone(family))
    assert math.isfinite(found["final"]["total"])
