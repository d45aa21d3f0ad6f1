"""Checkpoints: everything that a run needs to go on as if it had never stopped, without pickle.

A checkpoint is a folder that appears whole or not at all. Which run it belongs to is part of it, so that a
changed setting or data file never continues an old run.
"""

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from harc.core.errors import ArtifactError, DataError
from harc.core.files import atomic_directory, read_json, sha256_file, system_errors, write_json
from harc.model.tensors import read_tensors

TENSORS, VALUES = "state.safetensors", "state.json"


def export_optimizer(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, Tensor]:
    """Optimiser state by parameter name: step, exp_avg, exp_avg_sq."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {
        f"optimizer.{kind}.{name}": value
        for name, parameter in zip(names, parameters, strict=True)
        for kind, value in optimizer.state[parameter].items()
    }


def import_optimizer(optimizer: torch.optim.Optimizer, names: list[str], tensors: dict[str, Tensor]) -> None:
    """Take up exported optimiser state."""
    kinds = sorted({name.split(".")[1] for name in tensors if name.startswith("optimizer.")})
    state = {
        index: {kind: tensors[f"optimizer.{kind}.{name}"] for kind in kinds}
        for index, name in enumerate(names)
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def export_generators() -> dict[str, Tensor]:
    """States of torch's generators (CPU, and every CUDA device)."""
    states = {"generator.cpu": torch.get_rng_state()}
    for index, state in enumerate(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []):
        states[f"generator.cuda{index}"] = state
    return states


def import_generators(tensors: dict[str, Tensor]) -> None:
    """Take up exported generator states."""
    torch.set_rng_state(tensors["generator.cpu"])
    cuda = [name for name in tensors if name.startswith("generator.cuda")]
    if cuda and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([tensors[f"generator.cuda{index}"] for index in range(len(cuda))])


def save_checkpoint(
    folder: Path, update: int, run: str, tensors: dict[str, Tensor], values: dict[str, Any]
) -> None:
    """Write a checkpoint and remove the ones before it.

    Args:
        folder: where a run's checkpoints lie.
        update: optimiser updates done.
        run: what identifies the run (settings, seed, data, base weights).
        tensors, values: the state.
    """
    target = folder / f"update_{update:08d}"
    with atomic_directory(target) as temporary:
        # Equal tensors may share memory (tied states); safetensors wants each on its own.
        with system_errors(target):
            save_file(
                {name: value.detach().cpu().clone() for name, value in tensors.items()}, temporary / TENSORS
            )
        digest = sha256_file(temporary / TENSORS)
        write_json(temporary / VALUES, {"run": run, "update": update, "sha256": digest, "values": values})
    for other in folder.iterdir():
        if other != target:
            shutil.rmtree(other)


def load_checkpoint(folder: Path, run: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The latest whole checkpoint of this run, or None; others stay until the next save."""
    for candidate in sorted(folder.glob("update_*"), reverse=True):
        try:
            header = read_json(candidate / VALUES)
            if header["run"] != run or sha256_file(candidate / TENSORS) != header["sha256"]:
                continue
            return read_tensors(candidate / TENSORS, finite=False), header["values"]
        except (DataError, OSError, KeyError, TypeError, ArtifactError):
            continue
    return None
