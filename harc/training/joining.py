"""Two LoRA adapters as one: what each does to every layer is read from PEFT, not from its settings."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from harc.core.errors import ModelError

READ_PER_LAYER = {
    "task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision",
    "inference_mode", "r", "lora_alpha", "lora_dropout", "use_rslora", "rank_pattern", "alpha_pattern",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "fan_in_fan_out",
    "init_lora_weights", "megatron_core", "qalora_group_size", "eva_config",
}  # fmt: skip
"""Settings of LoRA that need no care: they say nothing about the update, or every layer shows what they did to it."""

PLAIN_STARTS = (True, False, "gaussian", "orthogonal", "eva")
"""Values of init_lora_weights that leave the base model as it is; PiSSA, OLoRA, CorDA, LoftQ take a part out of it."""


@dataclass(frozen=True)
class Update:
    """What an adapter adds to one layer's weights: scale * up @ down; float32, on the CPU."""

    down: Float[Tensor, "rank inputs"]
    up: Float[Tensor, "outputs rank"]
    scale: float

    @property
    def rank(self) -> int:
        """Rank of the update."""
        return len(self.down)


@dataclass(frozen=True)
class Started:
    """The adapter that training starts from: PEFT's settings, and its updates by layer."""

    config: Any
    updates: dict[str, Update]


def read_updates(adapted: Any, name: str) -> dict[str, Update]:
    """Updates of a PEFT model's only adapter by layer.

    Args:
        adapted: the PEFT model.
        name: of the adapter, for errors.

    Raises:
        ModelError: for anything but plain LoRA updates of linear layers on an unchanged base model.
    """
    from peft.tuners.lora import Linear, LoraLayer

    ((adapter, config),) = adapted.peft_config.items()
    if odd := _find_odd_setting(config):
        raise _refuse(name, odd)
    updates = {}
    for layer, part in adapted.get_base_model().named_modules():
        if not isinstance(part, LoraLayer):
            continue
        if type(part) is not Linear or adapter not in part.lora_A:
            raise _refuse(
                name, f"an update of {layer}, a layer of class {type(part.get_base_layer()).__name__}"
            )
        down, up = (side[adapter].weight.detach().cpu().float() for side in (part.lora_A, part.lora_B))
        updates[layer] = Update(down, up, float(part.scaling[adapter]))
    return updates


def _find_odd_setting(config: Any) -> str | None:
    """The first setting by which an adapter is more than plain updates of linear layers."""
    from peft import LoraConfig

    if type(config) is not LoraConfig:
        return f"an adapter of type {getattr(config.peft_type, 'value', config.peft_type)}"
    for setting in fields(config):
        value = getattr(config, setting.name)
        default = setting.default if setting.default_factory is MISSING else setting.default_factory()
        if setting.name not in READ_PER_LAYER and value != default and value:
            return f"{setting.name}: {value!r}" if isinstance(value, (str, bool, list)) else setting.name
    if config.init_lora_weights not in PLAIN_STARTS:
        return f"init_lora_weights: {config.init_lora_weights}, which takes a part out of the base model"
    return None


def join_updates(first: Mapping[str, Update], second: Mapping[str, Update]) -> tuple[int, dict[str, Tensor]]:
    """(rank, tensors) of one LoRA adapter whose update is the sum of two, at scale 1.

    B = [s1 B1, s2 B2], A = [A1; A2]; every layer gets the same rank, filled up with zeros.

    Returns:
        The rank, and tensors by the names that PEFT's files have.
    """
    ranks = [max((update.rank for update in part.values()), default=0) for part in (first, second)]
    tensors = {}
    for layer in first.keys() | second.keys():
        shown = first.get(layer) or second[layer]
        downs, ups = [], []
        for part, rank in zip((first, second), ranks, strict=True):
            down = torch.zeros(rank, shown.down.shape[1])
            up = torch.zeros(shown.up.shape[0], rank)
            if layer in part:
                update = part[layer]
                down[: update.rank] = update.down
                up[:, : update.rank] = update.scale * update.up
            downs.append(down)
            ups.append(up)
        tensors[f"base_model.model.{layer}.lora_A.weight"] = torch.cat(downs)
        tensors[f"base_model.model.{layer}.lora_B.weight"] = torch.cat(ups, dim=1)
    return sum(ranks), tensors


def join_configs(
    first: Any, second: Mapping[str, Any], rank: int, layers: set[str], model: Any
) -> dict[str, Any]:
    """adapter_config.json of the joined adapter.

    Args:
        first: PEFT's settings of the adapter that training started from.
        second: those of the trained one, as written.
        rank: of the joined adapter.
        layers: those that have an update.
        model: the plain model; the targets written match exactly `layers` of it.
    """
    joined = {
        **second, "r": rank, "lora_alpha": rank, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {},
        "layers_pattern": None, "exclude_modules": None,
    }  # fmt: skip
    chosen = [first.layers_to_transform, second["layers_to_transform"]]
    chosen = [[one] if isinstance(one, int) else one for one in chosen]
    short = {"layers_to_transform": None if None in chosen else sorted({*chosen[0], *chosen[1]})}
    targets = [first.target_modules, second["target_modules"]]
    if not any(isinstance(target, str) or target is None for target in targets):
        short["target_modules"] = sorted({*targets[0], *targets[1]})
        if find_targets({**joined, **short}, model) == layers:
            return joined | short
    return joined | {"target_modules": sorted(layers), "layers_to_transform": None}


def find_targets(config: Mapping[str, Any], model: Any) -> set[str]:
    """Names of the layers that PEFT would give an update."""
    from peft import LoraConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    known = {setting.name for setting in fields(LoraConfig)}
    settings = LoraConfig(**{name: value for name, value in config.items() if name in known})
    return {name for name, _ in model.named_modules() if name and check_target_module_exists(settings, name)}


def _refuse(name: Path | str, found: str) -> ModelError:
    return ModelError(
        str(name),
        expected="a plain LoRA adapter on linear layers, to be joined with the one that is trained",
        found=found,
        fix="start from another adapter, or merge it into a full model with PEFT and train on that",
    )
