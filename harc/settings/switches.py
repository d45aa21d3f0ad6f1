"""The named faults of the release: one switch each, with both values and where each comes from."""

from dataclasses import dataclass

from harc.settings.directions import DirectionOverrides, DirectionSettings
from harc.settings.presets import RELEASED_FAULTS
from harc.settings.training import MethodSettings


@dataclass(frozen=True)
class Switch:
    """One fault of the release that can be turned back on.

    Attributes:
        name: the setting's name.
        corrected, released: its two values.
        effect: what the released value does.
        source_corrected, source_released: where each value comes from.
    """

    name: str
    corrected: str
    released: str
    effect: str
    source_corrected: str
    source_released: str


# name: (effect of the released value, source of the corrected value, source of the released value)
_NOTES = {
    "truncation": (
        "prompts over 256 tokens lose the assistant header, so both positions fall into the user's text",
        "training cuts on the left: main/collate.py@c3565e5",
        "tokenizer default in collect_activations: main/directions.py@c3565e5",
    ),
    "helpful_baseline": (
        "helpful answers are empty, so response directions are normalised raw means (Qwen run only)",
        "helpful pairs, as the Llama run uses: main/train.py@c3565e5",
        "advbench mode rebuilds the harmless samples without responses: main/train.py@c3565e5",
    ),
    "position_template": (
        "directions are read at other tokens than those they are applied to (Qwen run only)",
        "the chat template of training: main/collate.py@c3565e5",
        "Zhao et al.'s raw template: main/extract_paper_method.py@c3565e5",
    ),
    "kl_first_token": (
        "the distribution that chooses the first response token is not held to the base model's",
        "distributions shifted against tokens, as the cross-entropy has them: main/losses.py@c3565e5",
        "response mask not shifted in kl_retain_loss: main/losses.py@c3565e5",
    ),
    "refresh_from": (
        "fresh directions are blended with the base model's, not with the last ones",
        "an exponential average, as documented: HYPERPARAMS.md@c3565e5",
        "recompute_directions: main/train.py@c3565e5",
    ),
    "step_unit": (
        "documented steps are micro-batches: half as many updates, and so for warm-up, ramp and refresh",
        "optimiser updates, the documented effective batch of 24: HYPERPARAMS.md@c3565e5",
        "the loop's counter: main/train.py@c3565e5",
    ),
    "xstest_in_training": (
        "over-refusal is trained and measured on the same 230 prompts",
        "no evaluation prompt in training; ours",
        "build_splits: main/data.py@c3565e5",
    ),
}


def list_switches() -> list[Switch]:
    """Every switch, its values taken from the settings' defaults and the release's presets."""
    switches = []
    for name, changes in RELEASED_FAULTS.items():
        effect, source_corrected, source_released = _NOTES[name]
        if "directions" in changes:
            corrected, released = DirectionSettings.model_fields[name].default, changes["directions"][name]
        else:
            corrected, released = MethodSettings.model_fields[name].default, changes[name]
        values = (str(corrected).lower(), str(released).lower())
        switches.append(Switch(name, *values, effect, source_corrected, source_released))
    return switches


def list_active_faults(method: MethodSettings) -> list[str]:
    """Names of the faults that a method has turned on."""
    active = []
    for name in RELEASED_FAULTS:
        on_directions = name in DirectionOverrides.model_fields
        value = getattr(method.directions if on_directions else method, name)
        default = (DirectionSettings if on_directions else MethodSettings).model_fields[name].default
        if value is not None and value != default:
            active.append(name)
    return active
