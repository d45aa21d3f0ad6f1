"""Arms of the ablation: each differs from its method by its name alone, and none is mistaken for a method."""

import json
from pathlib import Path

import pytest

from harc.core.artifacts import Layout
from harc.core.errors import ConfigError
from harc.methods.harc_released import RELEASED_FAULTS, list_active_faults
from harc.settings.ablation import name_point
from harc.settings.profile import load_profile
from harc.steps.commands import create_job
from harc.steps.registry import list_jobs

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(PROJECT)


def write_profile(folder: Path, ablation: dict) -> str:
    path = folder / "mine.yaml"
    path.write_text(json.dumps({"extends": "organism", "description": "x", "ablation": ablation}))
    return str(path)


def flatten(values: dict, prefix: str = "") -> dict:
    leaves = {}
    for name, value in values.items():
        inner = flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
        leaves |= inner
    return leaves


def list_differences(ours, theirs) -> set[str]:
    first, second = flatten(ours.model_dump()), flatten(theirs.model_dump())
    return {name for name in first if first[name] != second[name]} - {"preset"}


def test_an_arm_differs_from_the_tuned_method_by_what_it_is_named_after():
    profile = load_profile("organism_study")
    harc = profile.methods["harc"]
    expected = {
        "prompt_only": {"loss.couple_resp"},
        "response_only": {"loss.couple"},
        "fixed_last_k": {"directions.rule"},
        "random_direction": {"directions.null"},
        "permuted_label": {"directions.null"},
        "margin0p3_kl10": {"loss.margin"},
        "margin0p5_kl1": {"loss.kl"},
        "margin0p7_kl30": {"loss.margin", "loss.kl"},
    }
    for name, changed in expected.items():
        assert list_differences(profile.find_method(name), harc) == changed, name
    draws = load_profile("organism_draws")
    neither = list_differences(draws.find_method("neither_side"), draws.methods["harc"])
    assert neither == {"loss.couple", "loss.couple_resp"}


def test_every_fault_is_an_arm_or_has_a_reason_why_not():
    profile = load_profile("organism_study")
    arms = {name: profile.find_method(name) for name in profile.list_arms() if name.startswith("released_")}
    for name, arm in arms.items():
        assert list_active_faults(arm) == [name.removeprefix("released_")]
    assert {name.removeprefix("released_") for name in arms} | set(profile.ablation.without_effect) == set(
        RELEASED_FAULTS
    )


def test_the_reasons_why_a_fault_cannot_act_are_true():
    profile = load_profile("organism_study")
    assert set(profile.ablation.without_effect) == {"truncation", "step_unit", "xstest_in_training"}
    assert profile.methods["harc"].batch.accumulation == 1
    assert profile.data.source == "dvc"  # rows of the world, whose `source` no public file fills
    assert (
        profile.directions.max_prompt_tokens >= 128
    )  # the organisms' longest context (harc/world/backbone.py)


def test_the_grid_holds_the_method_itself_once():
    profile = load_profile("organism_study")
    points = profile.ablation.list_points(profile.methods["harc"])
    assert len(points) == 9
    assert [point for point in points if point.name == "harc"] == [("harc", 0.5, 10.0)]
    assert {point.name for point in points} - {"harc"} < profile.list_arms().keys()


@pytest.mark.parametrize(
    ("margin", "kl", "name"),
    [(0.25, 1.0, "margin0p25_kl1"), (0.5, 10.0, "margin0p5_kl10"), (1, 1e-5, "margin1_kl1em05")],
)
def test_a_point_is_named_for_paths(margin, kl, name):
    assert name_point(margin, kl) == name


def test_arms_run_on_their_seeds_and_backbones_and_stay_out_of_the_main_units():
    study = load_profile("organism_study").model_copy(update={"seeds": (0, 1, 2)})
    arms = study.list_arm_units()
    assert {seed for _, _, seed in arms} == {0}
    assert {backbone for backbone, _, _ in arms} == set(study.backbones)
    assert not {method for _, method, _ in study.list_main_units()} & study.list_arms().keys()
    limited = study.model_copy(
        update={"ablation": study.ablation.model_copy(update={"backbones": ("organism-llama",)})}
    )
    assert {backbone for backbone, _, _ in limited.list_arm_units()} == {"organism-llama"}
    for step in ("train_adapter", "evaluate", "score"):
        found = [
            (j.backbone, j.method, j.seed) for j in list_jobs(study, Layout(Path("x"))) if j.step == step
        ]
        assert set(arms) < set(found) and len(set(found)) == len(found)


def test_an_arm_has_jobs_like_a_method(tmp_path: Path):
    profile = load_profile("organism")
    job = create_job("train_adapter", profile, backbone="organism-llama", method="permuted_label", seed=0)
    assert job.command.endswith("--backbone organism-llama --method permuted_label --seed 0")
    with pytest.raises(ConfigError, match="method of train_adapter: expected one of base, .*permuted_label"):
        create_job("train_adapter", profile, backbone="organism-llama", method="permuted", seed=0)


def test_families_are_trained_and_read_and_have_no_method(tmp_path: Path):
    study = load_profile("organism_study").model_copy(update={"seeds": (0, 1)})
    families = set(study.families.backbones)
    jobs = list_jobs(study, Layout(Path("x")))
    assert {job.step for job in jobs if job.backbone in families} == {"train_backbone", "extract_directions"}
    assert {job.seed for job in jobs if job.backbone in families} == {0}
    architectures = {backbone.architecture for backbone in study.all_backbones.values()}
    assert architectures == {"llama", "qwen2", "mistral", "gemma", "phi3"}
    path = tmp_path / "mine.yaml"
    for families, message in (
        ({"backbones": {"organism-llama": {"kind": "organism", "architecture": "gemma"}}}, "organism-llama"),
        ({"seeds": [4]}, r"families.seeds of 0, 1, 2 \(not 4\)"),
    ):
        path.write_text(json.dumps({"extends": "organism_study", "description": "x", "families": families}))
        with pytest.raises(ConfigError, match=message):
            load_profile(str(path))


@pytest.mark.parametrize(
    ("ablation", "message"),
    [
        ({"of": "sgd"}, r"ablation.of as one of sft, .*\(not 'sgd'\)"),
        ({"seeds": [3]}, r"ablation.seeds of 0 \(not 3\)"),
        ({"backbones": ["llama"]}, r"ablation.backbones of organism-llama, organism-qwen2 \(not llama\)"),
        ({"arms": ["sft"]}, r"ablation.arms that are no methods already \(found sft\)"),
        ({"arms": ["prompt_only", "prompt_only"]}, "arms without repeats"),
        ({"margins": [0.5]}, "margins and kl_weights both, or neither"),
        ({"margins": [1.5], "kl_weights": [1.0]}, "less than or equal to 1"),
        ({"arms": ["prompt"]}, "prompt_only"),
        ({"without_effect": {"typo": "x"}}, r"without_effect of truncation, .*\(not 'typo'\)"),
        (
            {"arms": ["released_kl_first_token"], "without_effect": {"kl_first_token": "x"}},
            "kl_first_token either as an arm or as without effect",
        ),
    ],
)
def test_a_wrong_ablation_is_refused_in_one_line(tmp_path: Path, ablation, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_profile(write_profile(tmp_path, ablation))
    assert "\n" not in str(caught.value)
