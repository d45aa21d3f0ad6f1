"""HARC as it was released: its faults, each a switch that turns it on again, and where its sources disagree.

Read in microsoft/HARC@c3565e5.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harc.core.yaml_text import read_yaml
from harc.settings.directions import DirectionOverrides, DirectionSettings
from harc.settings.methods import Look

if TYPE_CHECKING:
    from harc.settings.training import MethodSettings


@dataclass(frozen=True)
class Fault:
    """One fault of the release.

    Attributes:
        name: the setting that turns it on, of the method or of its directions.
        value: the released value.
        label: for readers.
        effect: what the released value does.
        source_corrected, source_released: where each value comes from.
    """

    name: str
    value: str | bool
    label: str
    effect: str
    source_corrected: str
    source_released: str

    @property
    def on_directions(self) -> bool:
        """Whether it is a setting of how directions are read."""
        return self.name in DirectionOverrides.model_fields

    @property
    def changes(self) -> dict[str, Any]:
        """What turns it on, as a method's settings."""
        own = {self.name: self.value}
        return {"directions": own} if self.on_directions else own


FAULTS = (
    Fault(
        "truncation", "right", "truncation",
        "prompts over 256 tokens lose the assistant header, so both positions fall into the user's text",
        "training cuts on the left: main/collate.py@c3565e5",
        "tokenizer default in collect_activations: main/directions.py@c3565e5",
    ),
    Fault(
        "helpful_baseline", "empty", "helpful baseline",
        "helpful answers are empty, so response directions are normalised raw means (Qwen run only)",
        "helpful pairs, as the Llama run uses: main/train.py@c3565e5",
        "advbench mode rebuilds the harmless samples without responses: main/train.py@c3565e5",
    ),
    Fault(
        "position_template", "raw", "position template",
        "directions are read at other tokens than those they are applied to (Qwen run only)",
        "the chat template of training: main/collate.py@c3565e5",
        "Zhao et al.'s raw template: main/extract_paper_method.py@c3565e5",
    ),
    Fault(
        "kl_first_token", "skipped", "first token of KL",
        "the distribution that chooses the first response token is not held to the base model's",
        "distributions shifted against tokens, as the cross-entropy has them: main/losses.py@c3565e5",
        "response mask not shifted in kl_retain_loss: main/losses.py@c3565e5",
    ),
    Fault(
        "refresh_from", "base", "refresh from base",
        "fresh directions are blended with the base model's, not with the last ones",
        "an exponential average, as documented: HYPERPARAMS.md@c3565e5",
        "recompute_directions: main/train.py@c3565e5",
    ),
    Fault(
        "step_unit", "micro_batch", "unit of steps",
        "documented steps are micro-batches: half as many updates, and so for warm-up, ramp and refresh",
        "optimiser updates, the documented effective batch of 24: HYPERPARAMS.md@c3565e5",
        "the loop's counter: main/train.py@c3565e5",
    ),
    Fault(
        "xstest_in_training", True, "XSTest in training",
        "over-refusal is trained and measured on the same 230 prompts",
        "no evaluation prompt in training; ours",
        "build_splits: main/data.py@c3565e5",
    ),
)  # fmt: skip
RELEASED_FAULTS = {fault.name: fault.changes for fault in FAULTS}

PRESETS = {
    # Two faults belong to the release's Qwen run alone: which model is trained decides.
    "harc_released": {
        "directions": {
            "truncation": "right",
            "helpful_baseline": "as_released",
            "position_template": "as_released",
        },
        **{fault.name: fault.value for fault in FAULTS if not fault.on_directions},
    },
    **{f"released_{name}": changes for name, changes in RELEASED_FAULTS.items()},
}
LOOKS = {
    "harc_released": Look("HARC (as released)", 80, ("#CC79A7", "v", ":")),
    **{f"released_{fault.name}": Look(f"fault: {fault.label}") for fault in FAULTS},
}


@dataclass(frozen=True)
class Switch:
    """A fault with both values as texts.

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


def _find_default(fault: Fault) -> Any:
    from harc.settings.training import MethodSettings

    owner = DirectionSettings if fault.on_directions else MethodSettings
    return owner.model_fields[fault.name].default


def list_switches() -> list[Switch]:
    """Every switch, its values taken from the settings' defaults and the release's presets."""
    return [
        Switch(
            fault.name,
            str(_find_default(fault)).lower(),
            str(fault.value).lower(),
            fault.effect,
            fault.source_corrected,
            fault.source_released,
        )
        for fault in FAULTS
    ]


def list_active_faults(method: MethodSettings) -> list[str]:
    """Names of the faults that a method has turned on."""
    values = {
        fault: getattr(method.directions if fault.on_directions else method, fault.name) for fault in FAULTS
    }
    return [
        fault.name for fault, value in values.items() if value is not None and value != _find_default(fault)
    ]


@dataclass(frozen=True)
class Conflict:
    """One thing that the release says in more than one way; an empty text where a source is silent."""

    topic: str
    readme: str = ""
    hyperparams: str = ""
    yaml: str = ""
    code: str = ""
    ours: str = ""


def list_conflicts() -> list[Conflict]:
    """Every contradiction that was found."""
    found = read_yaml(Path(__file__).with_name("release_conflicts.yaml"))
    return [Conflict(topic, **said) for topic, said in found.items()]
