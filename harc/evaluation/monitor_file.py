"""The file of a calibrated monitor: its model, its axes with directions and thresholds, and what was measured."""

import base64
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from harc.core.errors import ArtifactError, ModelError
from harc.core.files import read_json, sha256_text, write_json
from harc.model.handle import describe_base
from harc.settings.base import Settings
from harc.settings.loading import parse_settings

FAMILY_OF = {
    "prompt_harm": "v_harm",
    "prompt_ref": "v_ref",
    "response_harm": "v_harm_resp",
    "response_ref": "v_ref_resp",
}
"""Axes of a monitor, and the family of directions that each reads."""
COMBINED = "combined"
LABELS = {
    "prompt_harm": "harmfulness of the prompt",
    "prompt_ref": "refusal, at the prompt's end",
    "response_harm": "harmfulness of the response",
    "response_ref": "refusal in the response",
    COMBINED: "all axes together",
}
PARTS = {"fit": 0.2, "threshold": 0.5, "held_out": 0.3}
"""Parts of the prompts, with their shares: slots and weights come from the first, thresholds from the second."""
PROBE = "A question."  # rendered, it shows how a tokenizer lays out a prompt


class ModelRecord(Settings):
    """The model that a monitor was calibrated on."""

    source: str = Field(description="how it was named")
    model_type: str = Field(description="architecture")
    n_layers: int = Field(ge=1, description="decoder blocks")
    hidden_size: int = Field(ge=1, description="width of the residual stream")
    sampled_weights_sha256: str = Field(description="digest of 16 numbers of each tensor, adapter included")
    template_sha256: str = Field(description="digest of how a prompt is laid out")
    method: str | None = Field(description="hash of the folder of an adapter or a steering; none without")


class Axis(Settings):
    """One axis: a direction at one slot, and what a number on it means."""

    slot: int = Field(ge=0, description="slot that is read; chosen on the first part unless it was named")
    direction: str = Field(description="unit vector, float32, little-endian, base64")
    threshold: float = Field(description="a score above it is flagged")
    mean: float = Field(description="of the scores of the first part")
    scale: float = Field(gt=0, description="their standard deviation")
    weight: float = Field(description="in the combined score, of the standardised score")
    tokens: tuple[float, float, float] = Field(
        description="5 %, 50 % and 95 % quantile of single tokens of benign prompts of the first part"
    )
    benign: tuple[float, float] = Field(
        description="mean and standard deviation of benign scores, second part"
    )
    harmful: tuple[float, float] = Field(description="likewise of harmful ones")


class Measured(Settings):
    """One axis on one part of the prompts; intervals are 95 % ones."""

    benign: int = Field(ge=0, description="benign prompts with a score")
    harmful: int = Field(ge=0, description="harmful prompts with a score")
    false_positive_rate: tuple[float, float, float] = Field(
        description="flagged benign ones, Wilson's interval"
    )
    true_positive_rate: tuple[float, float, float] = Field(description="flagged harmful ones, likewise")
    area: tuple[float, float, float] = Field(description="area under the ROC curve, DeLong's interval")


class Curve(Settings):
    """An ROC curve, from (0, 0) to (1, 1)."""

    false_positive_rate: tuple[float, ...] = Field(description="ascending")
    true_positive_rate: tuple[float, ...] = Field(description="at the same thresholds")


class MonitorFile(Settings):
    """A calibrated monitor."""

    format: Literal[1] = Field(description="version of this form")
    model: ModelRecord = Field(description="the model that it is for")
    directions_sha256: str = Field(description="the directions file that the axes come from")
    prompts_sha256: tuple[str, ...] = Field(description="the prompt files")
    seed: int = Field(description="of the split")
    window: int = Field(ge=0, description="response tokens that are averaged; 0: prompts alone")
    target: float = Field(gt=0, lt=1, description="false positive rate that thresholds were chosen for")
    axes: dict[str, Axis] = Field(min_length=1, description="by name")
    intercept: float = Field(description="of the combined score, a log-odds")
    combined_threshold: float = Field(description="a combined score above it is flagged")
    measured: dict[str, dict[str, Measured]] = Field(description="by part and axis")
    curves: dict[str, Curve] = Field(description="by axis, held-out part")

    @property
    def names(self) -> tuple[str, ...]:
        """The axes and the combined score."""
        return (*self.axes, COMBINED)

    def threshold_of(self, name: str) -> float:
        """Above which a score is flagged."""
        return self.combined_threshold if name == COMBINED else self.axes[name].threshold

    def make_directions(self) -> Any:
        """The directions that are read, at their slots; zeros at the others."""
        import torch

        from harc.geometry.directions import Directions

        shape = (self.model.n_layers + 1, self.model.hidden_size)
        rows = {family: torch.zeros(shape) for family in ("v_harm", "v_ref")}
        for name, axis in self.axes.items():
            family = rows.setdefault(FAMILY_OF[name], torch.zeros(shape))
            family[axis.slot] = torch.from_numpy(decode_vector(axis.direction))
        return Directions(**rows)


def encode_vector(vector: Float[np.ndarray, " hidden"]) -> str:
    """A vector's float32 numbers as text, to the last bit."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def decode_vector(text: str) -> Float[np.ndarray, " hidden"]:
    """What `encode_vector` was given.

    Raises:
        ValueError: for a text that it did not give.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)


def describe_model(backbone: Any, method: str | None) -> ModelRecord:
    """What identifies a model and the way in which it is asked.

    Args:
        backbone: the model.
        method: hash of the folder of what was put on it.
    """
    return ModelRecord(
        source=backbone.source,
        template_sha256=sha256_text(backbone.chat.render(PROBE)),
        method=method,
        **describe_base(backbone.causal_lm),
    )


def write_monitor(path: Path, monitor: MonitorFile) -> None:
    """Write it atomically; equal monitors give equal bytes."""
    write_json(path, monitor.model_dump(mode="json"))


def read_monitor(path: Path) -> MonitorFile:
    """Read a monitor's file.

    Raises:
        DataError, ConfigError, ArtifactError: if it is none, or its parts do not fit together.
    """
    values = read_json(path)
    fix = "run `harc monitor calibrate`"
    if not isinstance(values, dict):
        raise ArtifactError(str(path), expected="a monitor", found=type(values).__name__, fix=fix)
    monitor = parse_settings(MonitorFile, values, str(path))
    if unknown := sorted(monitor.axes.keys() - FAMILY_OF):
        raise ArtifactError(
            str(path), expected=f"axes among {', '.join(FAMILY_OF)}", found=unknown[0], fix=fix
        )
    width, last = monitor.model.hidden_size, monitor.model.n_layers
    for name, axis in monitor.axes.items():
        try:
            vector = decode_vector(axis.direction)
        except ValueError as problem:
            raise ArtifactError(
                f"{path}: {name}", expected="a vector in base64", found=str(problem), fix=fix
            ) from None
        sound = len(vector) == width and np.isfinite(vector).all() and axis.slot <= last
        if not sound or abs(float(np.linalg.norm(vector)) - 1) > 1e-3:
            raise ArtifactError(
                f"{path}: {name}",
                expected=f"a unit vector of {width} numbers at a slot up to {last}",
                found=f"{len(vector)} numbers of length {float(np.linalg.norm(vector)):.3g} at slot {axis.slot}",
                fix=fix,
            )
    named = {part: set(held) for part, held in monitor.measured.items()} | {"curves": set(monitor.curves)}
    for part in ("threshold", "held_out", "curves"):
        held = named.get(part, set())
        if held != set(monitor.names):
            found = ", ".join(sorted(held)) or "none"
            raise ArtifactError(f"{path}: {part}", expected=", ".join(monitor.names), found=found, fix=fix)
    return monitor


def check_model(monitor: MonitorFile, backbone: Any, method: str | None, path: Path) -> None:
    """Refuse a model that a monitor was not calibrated on: its numbers would mean nothing there.

    Raises:
        ModelError: naming what differs.
    """
    here = describe_model(backbone, method)
    said = {
        "sampled_weights_sha256": "weights", "template_sha256": "chat template", "method": "adapter or steering",
    }  # fmt: skip
    names = [name for name in ModelRecord.model_fields if name != "source"]
    differing = [name for name in names if getattr(here, name) != getattr(monitor.model, name)]
    if differing:
        raise ModelError(
            str(path),
            expected=f"the model that it was calibrated on ({monitor.model.source})",
            found=f"{here.source}, which differs in {', '.join(said.get(name, name) for name in differing)}",
            fix="load that model, or calibrate on this one: `harc monitor calibrate`",
        )
