"""LoRA adapters: attaching one to a backbone, and writing it so that equal adapters give equal bytes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harc.core.errors import ConfigError, ModelError
from harc.core.files import write_bytes, write_json
from harc.model.backbones import Backbone
from harc.model.handle import BASE_RECORD
from harc.model.tensors import check_tensors
from harc.settings.training import LoraSettings
from harc.training.joining import Started, join_configs, join_updates, read_updates


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
