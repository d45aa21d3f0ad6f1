"""CAST: strength 0 is the base, decisions are per row and per call, and hold for what is generated after them."""

import json
import time
from pathlib import Path

import pytest
import torch
from fixtures.training_rows import make_rows, make_settings
from tiny_models import FAMILIES, build_model, load_tokenizer

from harc.core.errors import ArtifactError, ConfigError, DataError, ModelError
from harc.methods.cast import choose_threshold, find_component, fit_steering, split_rows
from harc.model.backbones import Backbone
from harc.model.chat import ChatFormat
from harc.model.generation import generate_greedy
from harc.model.handle import ModelHandle
from harc.model.steering import (
    Condition,
    Steering,
    SteeringHooks,
    find_prompt,
    load_steering,
    measure_similarity,
)

DEPTHS = {"condition_depths": [0.2, 0.4], "behaviour_depths": [0.6, 0.8]}  # slots 1, 2 and 3, 4 of 5 blocks


def fresh_backbone(family: str = "Llama", **changes) -> Backbone:
    tokenizer = load_tokenizer()
    return Backbone(build_model(family, **changes), tokenizer, ChatFormat(tokenizer), source="tiny")


def make_steering(backbone: Backbone, fires: str, threshold: float, size: float = 30.0) -> Steering:
    generator = torch.Generator().manual_seed(1)
    vector, push = torch.randn(2, backbone.hidden_size, generator=generator)
    condition = Condition(1, threshold, fires, 1.0, 1.0, 0.0)
    return Steering(vector / vector.norm(), {3: size * push / push.norm()}, condition)


PROMPTS = [
    "Tell the tale of the river.",
    "Why is the garden so wide and so very long today?",
    "Stone.",
    "Name a bridge.",
]


def answer(backbone: Backbone, batch_size: int, prompts: list[str] = PROMPTS) -> list[str]:
    ids = backbone.chat.encode_prompts(prompts)
    found = generate_greedy(backbone.model, backbone.tokenizer, ids, max_new_tokens=12, batch_size=batch_size)
    return [completion.text for completion in found]


def test_strength_zero_is_the_base_token_for_token(tmp_path: Path):
    backbone = fresh_backbone()
    expected = answer(backbone, 4)
    fit_steering(
        backbone, make_rows(), make_settings("cast", steering={"strength": 0, **DEPTHS}), 0, tmp_path / "out"
    )
    SteeringHooks(backbone, load_steering(tmp_path / "out"))
    assert answer(backbone, 4) == expected


@pytest.mark.parametrize("allowed", [0, 512], ids=["several passes", "one pass"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_batch_is_steered_row_by_row_as_one_prompt_alone_is(family: str, allowed: int, monkeypatch):
    monkeypatch.setattr("harc.model.prefilling.PADDING_ALLOWED", allowed)
    backbone = fresh_backbone(family)
    plain = answer(backbone, 1)
    ids = backbone.chat.encode_prompts(PROMPTS)
    similarities = []
    probe = make_steering(backbone, "above", 2.0)
    hooks = SteeringHooks(backbone, probe)
    handle = backbone.blocks[1].register_forward_pre_hook(
        lambda module, args, kwargs: similarities.append(
            float(measure_similarity((args[0] if args else kwargs["hidden_states"]).mean(1), probe.vector))
        ),
        with_kwargs=True,
    )
    with torch.no_grad():
        for row in ids:
            backbone.body(input_ids=torch.tensor([row]), use_cache=False)
    handle.remove()
    hooks.remove()
    ordered = sorted(similarities)
    steering = make_steering(backbone, "above", (ordered[1] + ordered[2]) / 2)
    hooks = SteeringHooks(backbone, steering)
    alone, together = answer(backbone, 1), answer(backbone, 4)
    hooks.remove()
    assert together == alone
    steered = [similarity > steering.condition.threshold for similarity in similarities]
    assert sum(steered) == 2
    for place, acted in enumerate(steered):
        assert (alone[place] != plain[place]) == acted
    assert answer(backbone, 4) == plain  # nothing stays behind


def test_decisions_follow_the_rows_of_a_cache():
    """Finished rows leave the batch while others go on; transformers' own generate agrees."""
    backbone = fresh_backbone()
    SteeringHooks(backbone, make_steering(backbone, "above", -2.0))  # acts on every row
    ids = backbone.chat.encode_prompts(PROMPTS)
    ours = generate_greedy(backbone.model, backbone.tokenizer, ids, max_new_tokens=12, batch_size=4)
    for row, completion in zip(ids, ours, strict=True):
        theirs = backbone.model.generate(
            torch.tensor([row]), attention_mask=torch.ones(1, len(row), dtype=torch.long), max_new_tokens=12,
            do_sample=False, pad_token_id=3,
        )[0, len(row) :]  # fmt: skip
        assert backbone.tokenizer.decode(theirs, skip_special_tokens=True) == completion.text


def test_a_teacher_forced_answer_does_not_change_the_decision():
    backbone = fresh_backbone()
    seen = []
    steering = make_steering(backbone, "above", 0.0)
    hooks = SteeringHooks(backbone, steering)
    (prompt,) = backbone.chat.encode_prompts(PROMPTS[:1])
    answer_ids = backbone.chat.encode_responses(["A long answer of many words, to shift the mean."])[0]
    handle = backbone.blocks[3].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(hooks._decision.tolist()), with_kwargs=True
    )
    padded = [*prompt, *answer_ids, 3, 3, 3]
    with torch.no_grad():
        for row in (prompt, padded):
            backbone.body(input_ids=torch.tensor([row]), use_cache=False)
    handle.remove()
    assert seen[0] == seen[1]
    mask = find_prompt(torch.tensor([padded]), backbone.chat.suffix_ids, None)
    assert mask.sum() == len(prompt) and mask[0, : len(prompt)].all()


def test_prompts_are_found_behind_left_padding_and_in_texts_that_are_no_chat():
    backbone = fresh_backbone()
    suffix = backbone.chat.suffix_ids
    ids = torch.tensor([[3, 3, 40, 41, *suffix], [50, 51, 40, 41, *[60] * len(suffix)]])
    mask = torch.tensor([[0, 0, *[1] * (2 + len(suffix))], [1] * ids.shape[1]])
    found = find_prompt(ids, suffix, mask)
    assert found.tolist() == mask.bool().tolist()


def test_fitting_writes_a_folder_that_loads_and_is_the_same_every_time(tmp_path: Path):
    settings = make_settings("cast", steering=DEPTHS)
    for name in ("a", "b"):
        started = time.monotonic()
        summary = fit_steering(fresh_backbone(), make_rows(), settings, 0, tmp_path / name)
        assert 0 < summary["wall_s"] <= time.monotonic() - started
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["base_model.json", "steering.json", "steering.safetensors", "training_log.jsonl"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    steering = load_steering(tmp_path / "a")
    assert sorted(steering.additions) == [3, 4] and steering.condition.slot in (1, 2)
    assert float(steering.vector.norm()) == pytest.approx(1.0, abs=1e-5)
    rule = json.loads((tmp_path / "a/steering.json").read_text())
    for slot, addition in steering.additions.items():
        assert float(addition.norm()) == pytest.approx(0.5 * rule["residual_norms"][str(slot)], rel=1e-3)
    log = [json.loads(line) for line in (tmp_path / "a/training_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2] and max(row["f1"] for row in log) == steering.condition.f1


def test_a_steering_loads_only_on_its_own_base(tmp_path: Path):
    for name, seed in (("own", 0), ("other", 1)):
        backbone = fresh_backbone(seed=seed)
        backbone.model.save_pretrained(tmp_path / name)
        backbone.tokenizer.save_pretrained(tmp_path / name)
        if not seed:
            fit_steering(backbone, make_rows(), make_settings("cast", steering=DEPTHS), 0, tmp_path / "cast")
    ModelHandle(tmp_path / "own", tmp_path / "cast").open()
    with pytest.raises(ModelError, match="expected the base model it was trained on"):
        ModelHandle(tmp_path / "other", tmp_path / "cast").open()
    (tmp_path / "cast/steering.safetensors").write_bytes(b"torn")
    with pytest.raises(ArtifactError, match="expected steering.safetensors and steering.json"):
        ModelHandle(tmp_path / "own", tmp_path / "cast").open()


def test_the_component_of_pairs_points_to_the_positive_side():
    axis = torch.tensor([0.6, 0.8])
    differences = torch.outer(torch.tensor([1.0, 2.0, -0.5, 3.0]), axis)
    assert torch.allclose(find_component(differences), axis, atol=1e-6)
    assert torch.allclose(find_component(-differences), -axis, atol=1e-6)


def test_the_threshold_has_the_best_f1_on_either_side():
    harmful = torch.tensor([True, True, False, False, False])
    for sign, fires in ((1, "above"), (-1, "below")):
        found = choose_threshold(sign * torch.tensor([0.9, 0.7, 0.5, 0.2, 0.1]), harmful, 1)
        assert (found.fires, found.f1, found.harmful_rate, found.benign_rate) == (fires, 1.0, 1.0, 0.0)
        assert abs(found.threshold) == pytest.approx(0.6)


def test_a_condition_that_tells_nothing_apart_warns_with_its_rates(tmp_path: Path):
    rows = [{**row, "prompt": "The same words for every row."} for row in make_rows()]
    with pytest.warns(UserWarning, match=r"CAST's condition always fires .*harmful 1\.00, benign 1\.00.*F1"):
        fit_steering(fresh_backbone(), rows, make_settings("cast", steering=DEPTHS), 0, tmp_path / "out")


def test_bad_input_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="expected at least 2 harmful rows"):
        split_rows([row for row in make_rows() if row["category"] != "harmful"], 0.25, 0)
    shallow = make_settings(
        "cast", steering={"condition_depths": [0.1, 0.5], "behaviour_depths": [0.55, 0.6]}
    )
    with pytest.raises(ConfigError, match="expected slots in order"):
        fit_steering(fresh_backbone(), make_rows(), shallow, 0, tmp_path / "out")
    backbone = fresh_backbone()
    early = Steering(torch.ones(32), {1: torch.ones(32)}, Condition(2, 0.0, "above", 1.0, 1.0, 0.0))
    with pytest.raises(ConfigError, match="expected behaviour slots after slot 2"):
        SteeringHooks(backbone, early)
