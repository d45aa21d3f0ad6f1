"""Training machinery on a model small enough to be exact about: batches, Muon, schedule, resume, verdicts."""

import random

import pytest
import torch

from harc.core.files import read_json, read_jsonl, sha256_file
from harc.geometry.directions import load_directions
from harc.model.backbones import load_backbone
from harc.settings.profile import load_profile
from harc.settings.world import OrganismSettings, StageSettings
from harc.steps.directions import ROWS, read_extraction_rows, write_directions
from harc.world import backbone as backbone_module
from harc.world.acceptance import BOUNDS, compute_auc, judge_acceptance, measure_acceptance
from harc.world.backbone import train_organism_backbone
from harc.world.batches import Example, collate, draw_batches, split_by_length
from harc.world.corpora import build_world_data
from harc.world.layouts import LAYOUTS
from harc.world.stages import FLOOR, orthogonalize, schedule_factor

CI = load_profile("ci")


def _example(length, targets=1):
    return Example(tuple(range(1, length + 1)), tuple(range(length - targets, length)))


def test_batches_use_every_row_once_before_any_twice():
    pools = {"a": [_example(n) for n in range(3, 11)]}
    batches = draw_batches(pools, {"a": 1.0}, 4, random.Random(0))
    drawn = [example for _ in range(2) for example in next(batches)]
    assert sorted(len(example.ids) for example in drawn) == list(range(3, 11))


def test_parts_are_sorted_and_complete():
    batch = [_example(n) for n in (9, 3, 7, 5, 4)]
    parts = split_by_length(batch, 2)
    assert [len(example.ids) for part in parts for example in part] == [3, 4, 5, 7, 9]


def test_collate_points_at_the_token_before_each_target():
    ids, sources, labels, weights = collate([_example(5, 2), _example(3, 1)], pad_id=0)
    assert ids.shape == (2, 5)
    assert ids[1].tolist() == [1, 2, 3, 0, 0]
    assert ids.flatten()[sources].tolist() == [3, 4, 2]
    assert labels.tolist() == [4, 5, 3]
    assert weights.tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 12, 5), (2, 5, 12)])
def test_muon_updates_are_nearly_orthogonal(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize(torch.randn(shape), 5))
    assert values.min() > 0.4 and values.max() < 1.4


def test_schedule_warms_up_falls_and_stays():
    settings = StageSettings(minimum_steps=50, maximum_steps=80, mixture={})
    factors = [schedule_factor(step, settings) for step in range(80)]
    assert factors[0] == pytest.approx(0.1, rel=0.01)
    assert max(factors) == factors[9]
    assert factors[50:] == pytest.approx([FLOOR] * 30)


def test_auc():
    assert compute_auc(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) == 1.0
    assert compute_auc(torch.tensor([1.0]), torch.tensor([1.0])) == 0.5
    assert compute_auc(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 2.0])) == 0.5


def test_acceptance_names_what_fails():
    metrics = {name: (low + high) / 2 for name, (low, high) in BOUNDS.items()}
    assert all(bound["holds"] for bound in judge_acceptance(metrics).values())
    assert not judge_acceptance({**metrics, "mean_asr": 0.99})["mean_asr"]["holds"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "organism"
    build_world_data(folder, CI.world)
    return folder


def _tiny() -> OrganismSettings:
    stages = {
        name: getattr(CI.organism, name).model_copy(update={"minimum_steps": 2, "maximum_steps": 2})
        for name in backbone_module.STAGES
    }
    return CI.organism.model_copy(
        update={**stages, "hidden_size": 16, "feed_forward_size": 16, "heads": 2, "layers": 9}
    )


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_a_killed_training_resumes_to_the_same_bytes(data, tmp_path, monkeypatch, architecture):
    straight = train_organism_backbone(data, tmp_path / "straight", architecture, _tiny(), seed=3)
    real, calls = backbone_module.run_stage, []

    def die_in_the_third_stage(model, name, *args, **kwargs):
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(model, name, *args, **kwargs)

    monkeypatch.setattr(backbone_module, "run_stage", die_in_the_third_stage)
    arguments = (data, tmp_path / "resumed", architecture, _tiny(), 3, tmp_path / "checkpoints")
    with pytest.raises(KeyboardInterrupt):
        train_organism_backbone(*arguments)
    assert not (tmp_path / "resumed").exists()
    resumed = train_organism_backbone(*arguments)
    assert calls == ["documents", "helpful", "safety", "safety", "leak"]
    assert resumed == straight
    for name in (
        "model.safetensors",
        "training_log.jsonl",
        "acceptance.json",
        "tokenizer.json",
        "config.json",
    ):
        assert sha256_file(tmp_path / "straight" / name) == sha256_file(tmp_path / "resumed" / name), name


@pytest.mark.parametrize("architecture", list(LAYOUTS))
def test_every_family_is_of_its_architecture_and_is_read_like_any_model(data, tmp_path, architecture):
    """One slot more than blocks, unit directions in each, and a loss that falls."""
    settings = _tiny().model_copy(
        update={"documents": _tiny().documents.model_copy(update={"minimum_steps": 12, "maximum_steps": 12})}
    )
    train_organism_backbone(data, tmp_path / "model", architecture, settings, seed=0)
    assert read_json(tmp_path / "model/config.json")["model_type"] == architecture
    assert read_json(tmp_path / "model/config.json")["tie_word_embeddings"]
    losses = [
        row["loss"]
        for row in read_jsonl(tmp_path / "model/training_log.jsonl")
        if row["stage"] == "documents"
    ]
    assert losses[-1] < losses[0]
    rows = read_extraction_rows(*(data / name for name in ROWS))
    out = tmp_path / "directions"
    write_directions(load_backbone(str(tmp_path / "model")), rows, CI.directions, 2, out)
    directions = load_directions(out / "directions.safetensors")
    assert directions.v_harm.shape == directions.v_ref.shape == (10, 16)
    assert torch.allclose(directions.v_harm.norm(dim=-1), torch.ones(10), atol=1e-4)


def test_a_stage_that_falls_short_warns_and_does_not_crash(data, tmp_path):
    documents = _tiny().documents.model_copy(update={"criterion": {"documents": 0.95}})
    settings = _tiny().model_copy(update={"documents": documents})
    acceptance = train_organism_backbone(data, tmp_path / "out", "llama", settings, seed=0)
    assert not acceptance["accepted"]
    assert any("without meeting" in warning for warning in acceptance["warnings"])
    assert read_json(tmp_path / "out" / "acceptance.json") == acceptance


def test_another_seed_is_another_organism_and_ignores_checkpoints(data, tmp_path):
    for seed in (0, 1):
        train_organism_backbone(data, tmp_path / str(seed), "llama", _tiny(), seed, tmp_path / "checkpoints")
    one, two = (sha256_file(tmp_path / str(seed) / "model.safetensors") for seed in (0, 1))
    assert one != two


def test_the_saved_backbone_measures_as_it_did_in_training(data, tmp_path):
    acceptance = train_organism_backbone(data, tmp_path / "out", "qwen2", _tiny(), seed=0)
    again = measure_acceptance(data, tmp_path / "out", "qwen2", "development")
    assert again["metrics"] == pytest.approx(acceptance["metrics"])
    assert measure_acceptance(data, tmp_path / "out", "qwen2", "evaluation")["split"] == "evaluation"
