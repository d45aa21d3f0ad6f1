"""LoRA adapters: attaching one to a backbone, and writing it so that equal adapters give equal bytes."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from harc.core.errors import ConfigError, ModelError
from harc.core.files import write_bytes, write_json
from harc.model.backbones import Backbone
from harc.model.handle import BASE_RECORD
from harc.model.tensors import check_tensors
from harc.settings.training import LoraSettings

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


@contextmanager
def attach_adapter(
    backbone: Backbone, lora: LoraSettings, seed: int, *, blocks: int | None = None
) -> Iterator[Backbone]:
    """Give the backbone with a fresh adapter on; the model is as before when the block ends.

    One copy of the weights serves both: the base model is the adapted one with its adapter off.

    Args:
        backbone: plain model.
        lora: shape of the adapter.
        seed: of its start.
        blocks: number of blocks, from the first, that get an update; None for all.

    Raises:
        ModelError: if the model has an adapter already.
        ConfigError: if a target matches no linear layer, or the head or the embeddings.
    """
    from peft import LoraConfig, get_peft_model

    if hasattr(backbone.model, "peft_config"):
        raise ModelError(
            backbone.source or "model",
            expected="a model without an adapter",
            found="one with",
            fix="merge it first",
        )
    check_targets(backbone, lora)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_name_targets(backbone, lora, blocks),
        layers_to_transform=None if blocks is None else list(range(blocks)),
        bias="none",
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(backbone.model, config)
    try:
        yield replace(backbone, model=model)
    finally:
        model.unload()
        if hasattr(backbone.model, "peft_config"):
            del backbone.model.peft_config
        backbone.model.requires_grad_(False).eval()


def _name_targets(backbone: Backbone, lora: LoraSettings, blocks: int | None) -> str | list[str]:
    """PEFT's target_modules; it takes `all-linear` only for whole models."""
    if lora.targets != ("all-linear",):
        return list(lora.targets)
    if blocks is None:
        return "all-linear"
    parts = backbone.blocks[0].named_modules()
    return sorted({name.rpartition(".")[2] for name, part in parts if isinstance(part, torch.nn.Linear)})


def check_targets(backbone: Backbone, lora: LoraSettings) -> None:
    """Refuse targets that match nothing (one of seven is enough to go wrong silently) or the head."""
    if lora.targets == ("all-linear",):
        return
    modules = dict(backbone.model.named_modules())
    ends = (backbone.causal_lm.get_output_embeddings(), backbone.causal_lm.get_input_embeddings())
    for target in lora.targets:
        matches = [
            module for name, module in modules.items() if name == target or name.endswith(f".{target}")
        ]
        if not matches:
            linear = {
                name.rpartition(".")[2] for name, part in modules.items() if isinstance(part, torch.nn.Linear)
            }
            raise ConfigError(
                "lora.targets",
                expected=f"linear layers of the model: {', '.join(sorted(linear))}",
                found=target,
                fix="set lora.targets to names from the list, or to [all-linear]",
            )
        if any(module in ends for module in matches):
            raise ConfigError(
                "lora.targets",
                expected="layers within the decoder blocks",
                found=f"{target}, the head or the embeddings",
                fix="remove it: losses read the head's output without training it",
            )


def save_adapter(
    backbone: Backbone, folder: Path, base: dict[str, Any], first: Started | None = None
) -> None:
    """Write adapter_config.json, adapter_model.safetensors and the record of the base model into a folder.

    Args:
        backbone: the adapted model.
        folder: where to write.
        base: what describe_base said of the plain model.
        first: the adapter that was merged into the base before training; the two are written as one.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save

    config = backbone.model.peft_config["default"].to_dict()
    config |= {
        "inference_mode": True,
        "base_model_name_or_path": backbone.source,
        "revision": backbone.revision,
    }
    config = {name: sorted(value) if isinstance(value, set) else value for name, value in config.items()}
    tensors = get_peft_model_state_dict(backbone.model, save_embedding_layers=False)
    if first is not None:
        second = read_updates(backbone.model, "the trained adapter")
        rank, tensors = join_updates(first.updates, second)
        layers = first.updates.keys() | second.keys()
        config = join_configs(first.config, config, rank, layers, backbone.causal_lm)
    tensors = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    check_tensors(
        tensors.items(), f"adapter for {folder}", "lower learning_rate, or load the model in float32"
    )
    write_json(folder / "adapter_config.json", json.loads(json.dumps(config, default=str)))
    write_bytes(folder / "adapter_model.safetensors", save(tensors, metadata={"format": "pt"}))
    write_json(folder / BASE_RECORD, base)
