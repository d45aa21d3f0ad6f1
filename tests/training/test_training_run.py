"""Training from rows to files: outputs, determinism, switches, and inputs that must be refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fixtures.training_rows import STUDY, make_extraction, make_rows, make_settings, train
from safetensors.torch import load_file, save_file
from tiny_models import TOKENIZER, build_backbone

from harc.core.errors import ConfigError, DataError, ModelError
from harc.geometry.extraction import ResponsePairs, extract_directions
from harc.model.backbones import load_backbone
from harc.settings.directions import DirectionSettings
from harc.settings.training import MethodSettings
from harc.training.adapters import attach_adapter
from harc.training.batches import collate_rows, encode_rows, split_rows
from harc.training.forward import AdapterForward, Wanted
from harc.training.rows import CategorySampler, drop_leaked_rows, hold_out_rows

FILES = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "base_model.json",
    "diagnostics.jsonl",
    "selected_layers.jsonl",
    "training_log.jsonl",
]


def read_log(out: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (out / f"{name}.jsonl").read_text().splitlines()]


def test_outputs_are_whole_and_the_same_every_time(tmp_path: Path):
    for name in ("a", "b"):
        found = train(tmp_path / name, make_settings())
    assert found["updates"] == 3 and found["micro_batches"] == 6
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == FILES
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    assert [row["step"] for row in read_log(tmp_path / "a", "training_log")] == [0, 1, 2]
    assert [row["step"] for row in read_log(tmp_path / "a", "selected_layers")] == [0, 2]
    (refresh,) = read_log(tmp_path / "a", "diagnostics")
    assert len(refresh["cos_ref_harm"]) == 6 and set(refresh["bootstrap_cos"]) == {"mean", "lo", "hi"}
    assert refresh["cos_ref_harm"] == [round(cosine, 6) for cosine in refresh["cos_ref_harm"]]


@pytest.mark.parametrize(
    "preset",
    [
        "sft",
        "no_coupling",
        "harc_released",
        "random_direction",
        "permuted_label",
        "dpo",
        "cb",
        "repbend",
        "joint",
    ],
)
def test_every_kind_of_method_trains(preset: str, tmp_path: Path):
    found = train(tmp_path / "out", make_settings(preset))
    weights = load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert any(value.abs().sum() > 0 for name, value in weights.items() if "lora_B" in name)
    assert ("couple" in found["final"]) == (preset not in ("sft", "dpo", "cb", "repbend"))
    assert found["updates"] == (1 if preset == "harc_released" else 3)  # three micro-batches of two


def test_random_directions_stay_through_a_refresh(tmp_path: Path):
    train(tmp_path / "out", make_settings("random_direction"))
    (refresh,) = read_log(tmp_path / "out", "diagnostics")
    assert all(abs(value - 1) < 1e-5 for value in refresh["cos_base_now"]["v_harm"][1:])


def test_a_trained_adapter_loads_only_on_its_own_base(tmp_path: Path):
    backbone = build_backbone()
    train(tmp_path / "adapter", make_settings("sft"))
    for name, model in (("own", backbone), ("other", build_backbone(seed=1))):
        model.model.save_pretrained(tmp_path / name)
        model.tokenizer.save_pretrained(tmp_path / name)
    loaded = load_backbone(tmp_path / "own", adapter=tmp_path / "adapter")
    ids = torch.arange(20, 30)[None]
    with torch.no_grad():
        assert not torch.allclose(loaded.model(ids).logits, backbone.model(ids).logits)
    with pytest.raises(ModelError, match="adapter: expected the base model it was trained on"):
        load_backbone(tmp_path / "other", adapter=tmp_path / "adapter")


def test_kl_reaches_t_post_only_when_anchored():
    """KL's gradient at the logits that choose the first response token: there if anchored, absent as released."""
    backbone = build_backbone()
    settings = make_settings()
    rows = [{"category": "harmless", "prompt": "Tell me of rivers.", "response": "They flow."}]
    with attach_adapter(backbone, settings.lora, 0) as adapted:
        for name, part in adapted.model.named_parameters():
            if "lora_B" in name:
                part.data.normal_(std=0.1)
        module = AdapterForward(adapted, head_rows=8)
        encoded = encode_rows(adapted.chat, rows, 64, 64)
        batch = collate_rows(encoded, adapted.chat.post_instruction_count, adapted.chat.pad_id)
        reached = {}
        for kl in ("anchored", "skipped"):
            final: list[torch.Tensor] = []
            handle = adapted.body.register_forward_hook(
                lambda module, args, output, final=final: final.append(output.last_hidden_state)
            )
            outcome = module(batch, Wanted(kl=kl))
            handle.remove()
            (gradient,) = torch.autograd.grad(outcome.kl, final[0])
            reached[kl] = gradient[0].norm(dim=-1) > 0
    t_post, last = int(batch.t_post[0]), len(encoded[0].ids) - 1
    assert reached["anchored"][t_post] and not reached["anchored"][last]
    assert not reached["skipped"][t_post] and reached["skipped"][last]


def test_splitting_covers_every_row_within_the_budget():
    chat = build_backbone().chat
    encoded = encode_rows(chat, make_rows(), 64, 64)
    groups = split_rows(encoded, 60)
    assert sorted(row.ids for group in groups for row in group) == sorted(row.ids for row in encoded)
    assert all(len(group) * max(len(row.ids) for row in group) <= 60 or len(group) == 1 for group in groups)
    assert len(split_rows(encoded[:4], 100_000)) == 1  # as long as each other: one more pass would not pay


def test_sampler_goes_on_where_it_stopped():
    encoded = encode_rows(build_backbone().chat, make_rows(), 64, 64)
    counts = {"harmful": 4, "harmless": 2}
    whole, resumed = CategorySampler(encoded, counts, 0), CategorySampler(encoded, counts, 0)
    drawn = [whole.draw() for _ in range(5)]
    resumed.skip_to(3)
    assert [resumed.draw(), resumed.draw()] == drawn[3:]
    first = [row for batch in drawn[:3] for row in batch if row.category == "harmful"]
    assert len(set(first[:6])) == len(set(first[6:12])) == 6  # each pass takes every row once


def test_xstest_rows_are_dropped_unless_the_leak_is_switched_on():
    rows = [*make_rows(1), {**make_rows(1)[2], "source": "xstest"}]
    kept, dropped = drop_leaked_rows(rows, MethodSettings())
    assert len(kept) == 3 and dropped == rows[3:]
    assert drop_leaked_rows(rows, MethodSettings(preset="harc_released")) == (rows, [])


def test_held_out_prompts_are_not_trained_on():
    kept, (harmful, harmless) = hold_out_rows(make_rows(20), None, MethodSettings())
    assert len(harmful) == len(harmless) == 2
    assert not {row["prompt"] for row in kept if row["category"] == "harmful"} & set(harmful)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        (
            {"lora": {"targets": ["q_proj", "query"]}},
            ConfigError,
            "lora.targets: expected .*q_proj.*; found query",
        ),
        ({"lora": {"targets": ["lm_head"]}}, ConfigError, "found lm_head, the head or the embeddings"),
        ({"k_final": 9}, ConfigError, "k_final: expected at most the 4 eligible slots 1..4; found 9"),
        (
            {"learning_rate": 1e30, "steps": 5},
            ModelError,
            "training step .: expected finite losses; found NaN",
        ),
    ],
)
def test_settings_that_cannot_be_trained(changes: dict, error: type, text: str, tmp_path: Path):
    with pytest.raises(error, match=text):
        train(tmp_path / "out", make_settings(**changes))
    assert not list(tmp_path.iterdir())
    assert not hasattr(build_backbone().model, "peft_config")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"category": "harmfull"}, "training row 0: expected a category among harmful, .*; found 'harmfull'"),
        ({"response": "  "}, "training row 0: expected a response with at least one token"),
    ],
)
def test_rows_that_cannot_be_trained_on(row: dict, text: str, tmp_path: Path):
    rows = make_rows()
    with pytest.raises(DataError, match=text):
        train(tmp_path / "out", make_settings(), [{**rows[0], **row}, *rows[1:]])


def test_a_category_without_rows(tmp_path: Path):
    rows = [row for row in make_rows() if row["category"] != "harmless"]
    with pytest.raises(
        DataError, match="expected rows of category harmless, of which a micro-batch takes 1; found none"
    ):
        train(tmp_path / "out", make_settings(), rows)


def test_a_second_adapter_is_refused():
    lora = make_settings().lora
    with attach_adapter(build_backbone(), lora, 0) as adapted, pytest.raises(ModelError) as problem:
        attach_adapter(adapted, lora, 0).__enter__()
    assert "expected a model without an adapter; found one with" in str(problem.value)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"harmful": []}, DataError, "harmful prompts: expected at least one row; found none"),
        ({"harmless": []}, DataError, "harmless prompts: expected at least one row; found none"),
        ({"helpful": []}, DataError, "helpful pairs: expected at least one row; found none"),
        ({"harm": [("a", "")]}, DataError, "response 0: expected a text with at least one token"),
    ],
)
def test_extraction_refuses_one_sided_sets_and_empty_responses(change: dict, error: type, text: str):
    given = {
        "harmful": ["a"],
        "harmless": ["b"],
        "harm": [("a", "x")],
        "refuse": [("a", "y")],
        "helpful": [("b", "z")],
    }
    given |= change
    pairs = ResponsePairs(given["harm"], given["refuse"], given["helpful"])
    with pytest.raises(error, match=text):
        extract_directions(build_backbone(), given["harmful"], given["harmless"], pairs, STUDY)


def test_nan_activations_are_an_error():
    backbone = build_backbone("Llama", 7)
    backbone.model.model.layers[2].mlp.down_proj.weight.data[0, 0] = torch.nan
    try:
        with pytest.raises(ModelError, match="activations: expected finite activations; found .* NaN"):
            extract_directions(backbone, ["a"], ["b"], None, STUDY)
    finally:
        build_backbone.cache_clear()


def test_permuted_and_random_nulls_differ_from_the_truth():
    prompts, pairs = make_extraction()
    sides = [
        [row["prompt"] for row in prompts if row["category"] == side] for side in ("harmful", "harmless")
    ]
    kinds = {
        k: [(p["prompt"], p["response"]) for p in pairs if p["kind"] == k]
        for k in ("harm", "refuse", "helpful")
    }
    found = {
        null: extract_directions(
            build_backbone(), *sides, ResponsePairs(**kinds), STUDY.model_copy(update={"null": null})
        )
        for null in ("none", "random", "permuted_labels")
    }
    for null in ("random", "permuted_labels"):
        cosine = (found["none"].v_harm * found[null].v_harm).sum(-1).abs()
        assert cosine[1:].max() < 0.999
        torch.testing.assert_close(found[null].v_harm[1:].norm(dim=-1), torch.ones(5))
    assert found["permuted_labels"].counts == found["none"].counts


def test_helpful_baseline_switch():
    """As released on Qwen: response directions are the raw means, nearly parallel to each other."""
    prompts, pairs = make_extraction()
    sides = [
        [row["prompt"] for row in prompts if row["category"] == side] for side in ("harmful", "harmless")
    ]
    kinds = {
        k: [(p["prompt"], p["response"]) for p in pairs if p["kind"] == k]
        for k in ("harm", "refuse", "helpful")
    }
    empty = STUDY.model_copy(update={"helpful_baseline": "empty"})
    cosines = [
        (found.v_harm_resp * found.v_ref_resp).sum(-1)[:-1].mean()
        for found in (
            extract_directions(build_backbone(), *sides, ResponsePairs(**kinds), settings)
            for settings in (empty, STUDY)
        )
    ]
    assert cosines[0] > cosines[1]
    resolved = DirectionSettings(helpful_baseline="as_released", position_template="as_released")
    assert (resolved.resolve("qwen2").helpful_baseline, resolved.resolve("llama").helpful_baseline) == (
        "empty",
        "pairs",
    )
    assert (resolved.resolve("qwen2").position_template, resolved.resolve("llama").position_template) == (
        "raw",
        "chat",
    )


def test_an_adapter_of_another_depth_is_refused(tmp_path: Path):
    train(tmp_path / "adapter", make_settings("sft"))
    with pytest.raises(ModelError, match="adapter: expected the base model it was trained on"):
        load_backbone(TOKENIZER, adapter=tmp_path / "adapter")
    (tmp_path / "adapter" / "base_model.json").unlink()
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    weights = load_file(path)
    path.unlink()
    save_file({name.replace("layers.4.", "layers.40."): value for name, value in weights.items()}, path)
    own = replace(build_backbone())
    own.model.save_pretrained(tmp_path / "own")
    own.tokenizer.save_pretrained(tmp_path / "own")
    with pytest.raises(ModelError, match="expected an adapter of this model .*; found .* layers"):
        load_backbone(tmp_path / "own", adapter=tmp_path / "adapter")
