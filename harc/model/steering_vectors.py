"""What CAST adds to the residual stream, when, and how it is kept in a folder."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cosine_similarity

from harc.core.errors import ArtifactError, DataError
from harc.core.files import read_json, write_bytes, write_json
from harc.model.problems import summarize_problem
from harc.model.tensors import read_tensors

VECTORS, RULE = "steering.safetensors", "steering.json"


@dataclass(frozen=True)
class Condition:
    """When steering acts on a row.

    Attributes:
        slot: where the prompt's mean residual is read.
        threshold: similarity at which the decision turns.
        fires: on which side of the threshold it acts (the published comparator names the other side).
        f1: harmful against benign prompts, on held-out rows.
        harmful_rate, benign_rate: share of held-out prompts on which it fires.
    """

    slot: int
    threshold: float
    fires: Literal["above", "below"]
    f1: float
    harmful_rate: float
    benign_rate: float


@dataclass(frozen=True)
class Steering:
    """Everything that steering a model needs.

    Attributes:
        vector: condition vector at the condition's slot, unit length.
        additions: what is added at each behaviour slot, strength included.
        condition: when.
    """

    vector: Float[Tensor, " hidden"]
    additions: dict[int, Float[Tensor, " hidden"]]
    condition: Condition

    def decide(self, mean_residual: Float[Tensor, "batch hidden"]) -> Bool[Tensor, " batch"]:
        """Whether each row is steered, from the mean residual of its prompt at the condition's slot."""
        similarity = measure_similarity(mean_residual, self.vector)
        above = similarity > self.condition.threshold
        return above if self.condition.fires == "above" else similarity < self.condition.threshold


def measure_similarity(
    states: Float[Tensor, "batch hidden"], vector: Float[Tensor, " hidden"]
) -> Float[Tensor, " batch"]:
    """cos(x, tanh(c c^T x / c^T c)), float32: how much of a state lies along the condition vector
    (IBM/activation-steering@52be602).
    """
    states, vector = states.float(), vector.to(states.device, torch.float32)
    along = (states @ vector)[:, None] * vector / vector.dot(vector)
    return cosine_similarity(states, torch.tanh(along), dim=-1)


def save_steering(folder: Path, steering: Steering, details: dict[str, Any]) -> None:
    """Write steering.safetensors and steering.json; equal steering gives equal bytes."""
    from safetensors.torch import save

    tensors = {"condition": steering.vector.float().contiguous()}
    tensors |= {
        f"addition.{slot:03d}": value.float().contiguous() for slot, value in steering.additions.items()
    }
    write_bytes(folder / VECTORS, save({name: tensors[name] for name in sorted(tensors)}))
    write_json(folder / RULE, {"condition": asdict(steering.condition), **details})


def load_steering(folder: Path) -> Steering:
    """Read a folder written by save_steering.

    Raises:
        ArtifactError: if a file is missing or not what it should be.
    """
    expected, fix = f"{VECTORS} and {RULE} of a fitted steering", "fit it again: harc step fit_steering"
    try:
        tensors = read_tensors(folder / VECTORS, expected=expected, fix=fix)
        condition = Condition(**read_json(folder / RULE)["condition"])
        additions = {
            int(n.partition(".")[2]): v for n, v in sorted(tensors.items()) if n.startswith("addition.")
        }
        if not tensors["condition"].count_nonzero():
            raise ValueError("a condition vector of zeros, which tells no prompts apart")
        return Steering(tensors["condition"], additions, condition)
    except (DataError, KeyError, TypeError, ValueError) as problem:
        raise ArtifactError(
            str(folder),
            expected=expected,
            found=summarize_problem(problem),
            fix=fix,
        ) from problem
