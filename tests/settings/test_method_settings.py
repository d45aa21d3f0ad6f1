"""Presets, the switches of the release's faults, and the tables generated from them."""

import pytest
from pydantic import ValidationError

from harc.methods.harc_released import RELEASED_FAULTS, list_active_faults, list_conflicts, list_switches
from harc.settings.backbones import HUB_PRESETS
from harc.settings.directions import DirectionOverrides, DirectionSettings
from harc.settings.training import PRESETS, MethodSettings

FAULTS = {
    "truncation",
    "helpful_baseline",
    "position_template",
    "kl_first_token",
    "refresh_from",
    "step_unit",
    "xstest_in_training",
}


def test_every_name_has_a_preset_that_is_valid():
    for name in PRESETS:
        settings = MethodSettings(preset=name)
        assert MethodSettings.model_validate(settings.model_dump()) == settings


def test_the_default_has_no_fault_and_the_release_has_all():
    assert list_active_faults(MethodSettings()) == []
    assert set(list_active_faults(MethodSettings(preset="harc_released"))) == FAULTS == set(RELEASED_FAULTS)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_one_fault_at_a_time(fault: str):
    settings = MethodSettings(preset=f"released_{fault}")
    assert list_active_faults(settings) == [fault]
    changed = {
        name
        for name, value in settings.model_dump().items()
        if name != "preset" and value != MethodSettings().model_dump()[name]
    }
    assert changed == {"directions" if fault in DirectionOverrides.model_fields else fault}


def test_switch_table_gives_both_values_and_both_sources():
    switches = list_switches()
    assert {switch.name for switch in switches} == FAULTS
    for switch in switches:
        assert switch.released != switch.corrected
        assert "@c3565e5" in switch.source_released
        assert "@c3565e5" in switch.source_corrected or "ours" in switch.source_corrected


def test_own_values_win_over_the_preset():
    settings = MethodSettings(preset="no_coupling", loss={"kl": 1.0})
    assert (settings.loss.couple, settings.loss.kl) == (0.0, 1.0)
    assert (
        MethodSettings(preset="harc_released", directions={"truncation": "left"}).directions.truncation
        == "left"
    )


def test_the_study_settings_stand_where_a_method_is_silent():
    study = DirectionSettings(max_prompt_tokens=99, layers={"edge_fraction": 0.125})
    found = study.override(MethodSettings(preset="fixed_last_k").directions)
    assert (found.max_prompt_tokens, found.layers.edge_fraction, found.layers.rule) == (99, 0.125, "last")
    assert study.override(MethodSettings().directions) == study


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.01])
def test_margin_outside_its_range(margin: float):
    with pytest.raises(ValidationError, match=r"loss\.margin"):
        MethodSettings(loss={"margin": margin})


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"kl_fist_token": "anchored"}, "kl_fist_token"),
        ({"loss": {"kll": 1.0}}, r"loss\.kll"),
        ({"preset": "hark"}, "preset"),
        ({"batch": {"harmful": 0, "harmless": 0, "pseudo_harmful": 0}}, "at least one row in a micro-batch"),
    ],
)
def test_misspelt_and_empty_settings_are_refused(values: dict, place: str):
    with pytest.raises(ValidationError, match=place):
        MethodSettings(**values)


def test_released_runs_on_published_models():
    steps = {name: MethodSettings(**preset["training"]).steps for name, preset in HUB_PRESETS.items()}
    assert steps == {"llama3.1-8b": 400, "qwen2.5-7b": 2000}
    defaults = MethodSettings()
    assert (defaults.learning_rate, defaults.lora.rank, defaults.lora.alpha) == (1e-4, 32, 64)
    assert (defaults.loss.margin, defaults.loss.kl, defaults.k_initial, defaults.k_final) == (0.5, 10, 2, 4)
    assert (defaults.batch.counts, defaults.batch.accumulation) == (
        {"harmful": 6, "harmless": 4, "pseudo_harmful": 2},
        2,
    )


def test_every_setting_is_described_with_its_source():
    for model in (DirectionSettings, MethodSettings):
        for name, field in model.model_fields.items():
            assert len(field.description or "") > 10, f"{model.__name__}.{name}"


def test_conflicts_are_between_at_least_two_sources():
    assert len(list_conflicts()) >= 10
    for conflict in list_conflicts():
        said = {conflict.readme, conflict.hyperparams, conflict.yaml, conflict.code} - {""}
        assert said and conflict.ours, conflict.topic
        assert len(said) >= 2 or ";" in conflict.code or "raises" in conflict.code, conflict.topic
