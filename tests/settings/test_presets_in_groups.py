"""Where given values, presets and defaults meet: whatever is nested, what is given applies, and so does its preset."""

import sys
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import Field, ValidationError

import harc.settings
from harc.settings.ablation import AblationSettings
from harc.settings.backbones import HUB_PRESETS, HubBackbone, OrganismBackbone
from harc.settings.base import Settings, list_declared
from harc.settings.loading import TrainingFile
from harc.settings.profile import Profile, load_profile
from harc.settings.suites import BenchmarkSettings, HelpfulnessSettings, PersonaSettings
from harc.settings.training import PRESETS, LossSettings, MethodSettings

# One value of each kind that no default and no preset has, to be given beside a preset.
OTHER = {"steps": 7, "loss": {"margin": 0.25}, "directions": {"null": "random"}}


def read_method(**method: Any) -> MethodSettings:
    return TrainingFile(training="rows.jsonl", method=method).method


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_in_a_file_by_hand_is_that_preset(preset: str):
    assert read_method(preset=preset) == MethodSettings(preset=preset)
    for name, value in OTHER.items():
        assert read_method(**{"preset": preset, name: value}) == MethodSettings(
            **{"preset": preset, name: value}
        )


def make_profile(**changes: Any) -> Profile:
    values = {
        "name": "mine",
        "source": "mine",
        "description": "",
        "backbones": {"b": OrganismBackbone(architecture="llama")},
        "evaluation": {"suites": ["direct"]},
        "finetuning": {"suites": ["direct"]},
        "methods": {},
    }
    return Profile.model_validate({**values, **changes})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_in_a_profile_is_that_preset(preset: str):
    first = MethodSettings(preset=preset).start_from
    methods = {"own": {"preset": preset}, **({first: {}} if first else {})}
    profile = make_profile(methods=methods)
    assert profile.methods["own"] == profile.choose_training("b", "own") == MethodSettings(preset=preset)
    changed = make_profile(methods=methods | {"own": {"preset": preset, **OTHER}}, training={"head_rows": 8})
    assert changed.methods["own"] == MethodSettings(preset=preset, head_rows=8, **OTHER)
    assert profile.compose_point("b", "own", {"steps": 7}) == MethodSettings(preset=preset, steps=7)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "harc"])
def test_an_arm_of_plain_harc_is_its_preset(preset: str):
    values = MethodSettings(preset=preset)
    if values.start_from is not None:
        return
    profile = make_profile(methods={"harc": {}}, ablation={"arms": [preset]})
    assert profile.find_method(preset) == values


def test_an_arm_that_changes_nothing_is_refused():
    with pytest.raises(ValidationError, match=r"arms that change sft \(harc does not\)"):
        make_profile(methods={"sft": {}}, ablation=AblationSettings(of="sft", arms=("harc",)))


@pytest.mark.parametrize("preset", HUB_PRESETS)
def test_a_released_run_in_a_profile(preset: str):
    given = {"kind": "hub", "preset": preset, "memory_gb": 1, "disk_gb": 1}
    assert make_profile(backbones={"b": given}, methods={}).backbones["b"] == HubBackbone(**given)


@pytest.mark.parametrize("key", ["preset", "objective", "start_from"])
@pytest.mark.parametrize(
    "where", [{"training": {}}, {"tuning": {"grids": {"harc": [{}]}}}, {"backbones": {"b": {"training": {}}}}]
)
def test_shared_values_and_points_never_say_which_method(key: str, where: dict):
    given = {key: "sft"}
    if "tuning" in where:
        where = {"tuning": {"grids": {"harc": [given]}}}
    elif "backbones" in where:
        wheels = {"requirement": "x==1", "sha256": ["0" * 64]}
        wheel = {"kind": "gguf", "gguf": {"sha256": "0" * 64, "wheels": wheels}, "training": given}
        where = {"backbones": {"b": wheel}}
    else:
        where = {"training": given}
    with pytest.raises(ValidationError, match=f"values without `{key}`"):
        make_profile(methods={"harc": {}}, **where)


@pytest.mark.parametrize("preset", [["sft"], {"sft": 1}, 3, None, "hark"])
def test_a_preset_that_is_none_is_refused(preset: Any):
    for read in (
        lambda: read_method(preset=preset),
        lambda: make_profile(methods={"m": {"preset": preset or []}}),
    ):
        with pytest.raises(ValidationError, match="preset"):
            read()


def list_groups() -> list[type[Settings]]:
    """Every settings model of the configuration."""
    for module in iter_modules(harc.settings.__path__):
        import_module(f"harc.settings.{module.name}")
    found, waiting = [], [Settings]
    while waiting:
        own = waiting.pop().__subclasses__()
        found += own
        waiting += own
    return [group for group in found if group.__module__.startswith("harc.")]


def list_nested() -> list[tuple[type[Settings], str, Settings]]:
    """Every field of every model whose default is a group."""
    return [
        (outer, name, field.default)
        for outer in list_groups()
        for name, field in outer.model_fields.items()
        if isinstance(field.default, Settings)
    ]


def find_other_value(group: Settings, name: str) -> Any:
    """A value for a field of a group that differs from its own; None if none is at hand."""
    value, field = getattr(group, name), type(group).model_fields[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return (
            value + 1
            if not any(hasattr(mark, "le") or hasattr(mark, "lt") for mark in field.metadata)
            else value / 2
        )
    if get_origin(field.annotation) is Literal:
        return next((other for other in get_args(field.annotation) if other != value), None)
    return None


def create_with_default(outer: type[Settings], name: str, given: Any) -> Any:
    """The value of one field of a model, without the model's other fields."""
    field = outer.model_fields[name]
    return type(outer.__name__, (Settings,), {"__annotations__": {name: field.annotation}, name: field})(
        **{name: given}
    )


@pytest.mark.parametrize(
    ("outer", "name", "default"), list_nested(), ids=lambda value: getattr(value, "__name__", str(value)[:24])
)
def test_every_partly_given_group_is_the_given_values_over_the_declared_ones(outer, name, default):
    inner, tried = type(default), 0
    declared = {key: getattr(default, key) for key in list_declared(default)}
    assert getattr(create_with_default(outer, name, {}), name) == inner(**declared) == default
    for key in inner.model_fields:
        value = find_other_value(default, key)
        try:
            expected = inner(**{**declared, key: value})
        except ValidationError:
            continue
        tried += 1
        assert getattr(create_with_default(outer, name, {key: value}), name) == expected
    assert tried or not any(find_other_value(default, key) is not None for key in inner.model_fields)


def test_the_walk_finds_the_groups():
    nested = {(outer, name) for outer, name, _ in list_nested()}
    assert {(TrainingFile, "method"), (MethodSettings, "loss"), (HelpfulnessSettings, "mmlu")} <= nested
    assert len(nested) > 30
    assert "harc.settings.loading" in sys.modules


class Outer(Settings):
    """Defaults that declare more than their class: a preset with a value of its own, nested values, a kind."""

    method: MethodSettings = Field(
        MethodSettings(preset="sft", steps=9, loss={"margin": 0.25}), description="a"
    )
    asked: BenchmarkSettings = Field(BenchmarkSettings(fewshot=5, max_new_tokens=1), description="b")
    backbone: OrganismBackbone | HubBackbone = Field(OrganismBackbone(architecture="llama"), description="c")


@pytest.mark.parametrize("preset", PRESETS)
def test_another_preset_than_the_defaults_keeps_what_the_default_declares(preset: str):
    assert Outer(method={"preset": preset}).method == MethodSettings(
        preset=preset, steps=9, loss={"margin": 0.25}
    )
    own = Outer(method={"preset": preset, "loss": {"kl": 2.0}}).method
    assert own == MethodSettings(preset=preset, steps=9, loss={"margin": 0.25, "kl": 2.0})
    assert Outer(method={"loss": LossSettings()}).method.loss == LossSettings()


def test_declared_values_stay_and_another_kind_starts_anew():
    assert Outer(asked={"limit": 3}).asked == BenchmarkSettings(fewshot=5, max_new_tokens=1, limit=3)
    hub = {"kind": "hub", "model_id": "a/b", "memory_gb": 1, "disk_gb": 1}
    assert Outer(backbone=hub).backbone == HubBackbone(**hub)
    assert Outer(backbone={"architecture": "phi3"}).backbone == OrganismBackbone(architecture="phi3")


def test_a_mapping_that_is_no_group_is_replaced():
    given = {"minimum_steps": 1, "maximum_steps": 2, "mixture": {"documents/word": 1.0}}
    found = make_profile(organism={"documents": given}).organism
    assert found.documents.mixture == {"documents/word": 1.0}
    assert found.documents.criterion == {"documents": 0.95}


@pytest.mark.parametrize("value", [True, False, float("nan"), float("inf"), "1e999", -float("inf")])
def test_what_is_no_number_is_refused(value: Any):
    for given in (
        {"learning_rate": value},
        {"loss": {"kl": value}},
        {"steps": value},
        {"directions": {"fixed": [value]}},
    ):
        with pytest.raises(ValidationError):
            MethodSettings(**given)
    with pytest.raises(ValidationError):
        make_profile(organism={"documents": {"mixture": {"documents/word": value}}})


def test_switches_take_words_and_numbers_of_truth():
    assert MethodSettings(shard="yes").shard and not MethodSettings(shard=0).shard
    assert PersonaSettings(name="no").name == "no"


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x", "a b", "a\n"])
def test_names_that_leave_their_folder_are_refused(name: str):
    with pytest.raises(ValidationError, match="parts of paths"):
        make_profile(methods={name: {"preset": "harc"}})
    with pytest.raises(ValidationError, match="parts of paths"):
        make_profile(backbones={name: OrganismBackbone(architecture="llama")})


def test_shipped_profiles_still_say_what_they_said():
    """A few values that come through inheritance, sharing and null."""
    assert load_profile("ci").tuning.grids == {}
    assert list(load_profile("ci").backbones) == ["organism-llama"]
    assert load_profile("organism_study").ablation.backbones is None
    assert load_profile("paper").helpfulness.gsm8k == BenchmarkSettings(max_new_tokens=512)
    assert load_profile("organism").methods["no_coupling"].loss.couple == 0.0
