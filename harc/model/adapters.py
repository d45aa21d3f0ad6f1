"""A LoRA adapter put on the model that it was made for, whole and finite, or folded into its weights."""

import dataclasses
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harc.core.errors import ModelError
from harc.core.files import write_bytes
from harc.model.handle import BASE_RECORD, check_base
from harc.model.load import check_weights
from harc.model.tensors import (
    check_tensors,
    explain_problems,
    is_packed,
    list_entries,
    name_some,
    read_object,
)

if TYPE_CHECKING:
    from harc.model.backbones import Backbone

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
FIX = "load the backbone that the adapter was trained on"
OTHER_WEIGHTS = ("base_layer", "modules_to_save", "magnitude", "bias", "trainable_tokens")
"""Parts of names of what an adapter may change beside its low-rank updates."""
PROBE_TOKENS = 16
MERGED_TOLERANCE = 1e-3  # relative, float32: rounding stays below 1e-5 in shallow models and grows with depth
MERGED_TOLERANCE_HALF = 0.1  # 16 bits round the update itself


def load_adapter(model: Any, folder: Path) -> Any:
    """A PEFT model: the given one with the adapter of a folder on it, kept apart from the weights.

    Args:
        model: a transformers causal language model.
        folder: adapter_config.json and adapter_model.safetensors, as PEFT writes them.

    Raises:
        ModelError: for another kind of adapter, one for another model, one with missing or further weights, or one
            with NaN or infinity.
    """
    from peft import PeftModel, get_peft_model_state_dict

    config = read_object(folder / CONFIG)
    _check_kind(folder, config)
    expected = f"an adapter of this model ({type(model).__name__})"
    with explain_problems(str(folder), expected=f"{TENSORS}, a safetensors file", fix="get the file again"):
        entries = list_entries(_find_tensors(folder))
        packed = [f"{name} in {entry['dtype']}" for name, entry in entries.items() if is_packed(entry)]
        if packed:
            raise ValueError(f"{packed[0]}, no floating-point number")
    check_base(model, folder)
    with explain_problems(str(folder), expected=expected, fix=FIX), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # missing keys are an error below
        adapted = PeftModel.from_pretrained(model, str(folder))
        own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    _compare_names(folder, expected, set(entries), own, adapted)
    check_tensors(own.items(), str(folder / TENSORS), "train the adapter again, or get the file again")
    return adapted


def _find_tensors(folder: Path) -> Path:
    if (folder / TENSORS).is_file():
        return folder / TENSORS
    pickled = (folder / "adapter_model.bin").is_file()
    raise ModelError(
        str(folder),
        expected=TENSORS,
        found="adapter_model.bin, a pickle, which can run code" if pickled else "none",
        fix="load it where you trust it and save it with safe_serialization=True"
        if pickled
        else "give the folder of a trained adapter",
    )


def _check_kind(folder: Path, config: Mapping[str, Any]) -> None:
    """LoRA for a causal language model, always on, the same at every loading; no setting that imports a module."""
    found = None
    if config.get("peft_type") != "LORA":
        found = f"peft_type {config.get('peft_type')!r}"
    elif config.get("task_type") not in (None, "CAUSAL_LM"):
        found = f"task_type {config['task_type']!r}"
    elif config.get("megatron_config"):
        found = "megatron_config"
    elif config.get("alora_invocation_tokens"):
        found = "alora_invocation_tokens: it is on for a part of a text alone, which no batch here knows of"
    elif str(config.get("init_lora_weights")).lower().startswith("pissa_niter"):
        # PEFT takes a random approximation out of the base each time that it loads one.
        found = (
            f"init_lora_weights {config['init_lora_weights']!r}, so a base that is another at every loading"
        )
    if found is not None:
        raise ModelError(
            str(folder / CONFIG),
            expected="a LoRA adapter of a causal language model",
            found=found,
            fix="give the folder of one: other kinds are not supported",
        )


def _compare_names(
    folder: Path, expected: str, names: set[str], own: Mapping[str, Any], adapted: Any
) -> None:
    """Refuse weights that only one of file and model has; a file may also carry layers of the base (embeddings)."""
    problems = []
    if missing := sorted(own.keys() - names):
        problems.append(f"no weights for layers {_shorten(missing)}")
    if unknown := sorted(names - own.keys() - set(adapted.state_dict())):
        problems.append(f"weights for layers that it lacks: {_shorten(unknown)}")
    if not own:
        problems.append("no layer that it changes")
    if problems:
        raise ModelError(str(folder), expected=expected, found="; ".join(problems), fix=FIX)


def _shorten(names: list[str]) -> str:
    return name_some([name.removeprefix("base_model.model.") for name in names])


def list_remarks(adapted: Any, folder: Path) -> list[str]:
    """What a user should read of an adapter that is on: that it changes nothing, was made for another base by name, or
    has settings that this PEFT does not know.

    Args:
        adapted: what load_adapter returned.
        folder: where it was read from.
    """
    from peft import LoraConfig, get_peft_model_state_dict

    config, remarks = read_object(folder / CONFIG), []
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    if changes_nothing(config, own):
        remarks.append(f"{folder}: this adapter is all zero: every answer is the base model's")
    named, here = config.get("base_model_name_or_path"), adapted.get_base_model().config._name_or_path
    checked = (folder / BASE_RECORD).is_file()
    if (
        not checked
        and isinstance(named, str)
        and named
        and Path(named).name.lower() not in _spell_source(here)
    ):
        remarks.append(f"{folder}: this adapter names {named} as its base; it was put on {here or 'another'}")
    known = {field.name for field in dataclasses.fields(LoraConfig)} | {"peft_type", "peft_version"}
    ignored = sorted(name for name, value in config.items() if name not in known and value)
    if ignored:
        remarks.append(f"{folder}: settings that this version of PEFT ignores: {', '.join(ignored)}")
    return remarks


def _spell_source(source: str) -> str:
    """A model's source in lower case; in the hub's cache the folder is models--owner--name/snapshots/commit."""
    return str(Path(source).absolute()).lower() if source else ""


def changes_nothing(config: Mapping[str, Any], tensors: Mapping[str, Any]) -> bool:
    """Whether an adapter's update is zero in every layer.

    Args:
        config: adapter_config.json.
        tensors: the adapter's weights by PEFT's names.
    """
    if any(part in name for name in tensors for part in OTHER_WEIGHTS):
        return False
    scales = [config.get("lora_alpha", 8), *(config.get("alpha_pattern") or {}).values()]
    if not any(scales):
        return True
    zero = {name for name, value in tensors.items() if not value.count_nonzero()}
    pairs = [name for name in tensors if "lora_B" in name or "lora_embedding_B" in name]
    return all(name in zero or _name_partner(name) in zero for name in pairs)


def _name_partner(name: str) -> str:
    return name.replace("lora_B", "lora_A").replace("lora_embedding_B", "lora_embedding_A")


def fold_adapter(backbone: "Backbone") -> "Backbone":
    """The same model with its adapter, if it has one, folded into the weights: faster, equal up to rounding.

    Raises:
        ModelError: if the folded model answers otherwise.
    """
    if not hasattr(backbone.model, "merge_and_unload"):
        return backbone
    return replace(backbone, model=merge_weights(backbone.model, backbone.source))


@torch.no_grad()
def round_weights(model: Any, dtype: str) -> None:
    """Round a model's weights in place, as loading it in that precision does; buffers, as rotary frequencies, stay.

    Args:
        model: in float32.
        dtype: "float32", "bfloat16" or "float16".
    """
    for weight in model.parameters():
        weight.data = weight.data.to(getattr(torch, dtype))


@torch.no_grad()
def merge_weights(adapted: Any, name: str = "adapter") -> Any:
    """The plain model that an adapted one amounts to, compared with it on a few tokens.

    A weight that another layer shares (a head tied to the embeddings) is copied first, so that the update reaches
    the layer that it was trained for alone.

    Args:
        adapted: a PEFT model in evaluation mode.
        name: of the adapter, for errors.

    Raises:
        ModelError: if the adapter is of a kind that cannot be folded in, or the folded model gives other logits.
    """
    adapted.eval()
    before = _probe_logits(adapted)
    _untie_updated(adapted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tied layers, which are untied above
            merged = adapted.merge_and_unload().eval()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as problem:
        raise _refuse(name, f"{type(problem).__name__}: {problem}") from problem
    check_weights(merged, f"{name}, merged")
    _compare_logits(before, merged, name)
    return merged


def _compare_logits(before: Tensor, merged: Any, name: str) -> None:
    gap = float((_probe_logits(merged) - before).norm() / before.norm())
    half = next(merged.parameters()).dtype != torch.float32
    if not gap <= (MERGED_TOLERANCE_HALF if half else MERGED_TOLERANCE):  # NaN is no agreement
        raise _refuse(name, f"logits that differ by {gap:.2g} of their norm")


@torch.no_grad()
def merge_exactly(adapted: Any, name: str = "adapter") -> Any:
    """The plain model that an adapted one amounts to, with the same bytes on every machine, if more slowly.

    W + scale * B A is summed in float64, element by element and rank by rank, since a matrix product adds in the
    order that suits a processor; then it is rounded once, to the precision of W.

    Args:
        adapted: a PEFT model with plain LoRA updates of linear layers, in evaluation mode.
        name: of the adapter, for errors.

    Raises:
        ModelError: if the adapter is of another kind, or the merged model gives other logits.
    """
    from peft.tuners.lora import Linear

    adapted.eval()
    before = _probe_logits(adapted)
    _untie_updated(adapted)
    (active,) = adapted.peft_config
    for path, layer in adapted.named_modules():
        if not hasattr(layer, "lora_A"):
            continue
        if not isinstance(layer, Linear) or layer.use_dora.get(active) or layer.fan_in_fan_out:
            raise _refuse(name, f"{path}, no plain update of a linear layer")
        weight = layer.get_base_layer().weight
        down, up = (part[active].weight.double() for part in (layer.lora_A, layer.lora_B))
        update = torch.zeros(weight.shape, dtype=torch.float64, device=weight.device)
        for column, row in zip(up.T, down, strict=True):
            update += column[:, None] * row[None, :]
        weight.copy_(weight.double() + update * layer.scaling[active])
    merged = adapted.unload().eval()
    check_weights(merged, f"{name}, merged")
    _compare_logits(before, merged, name)
    return merged


def round_adapter(source: Path, folder: Path) -> None:
    """Copy an adapter of ours with its tensors rounded to bfloat16, in half the bytes.

    Args:
        source: folder of the adapter.
        folder: where it is written.
    """
    from safetensors.torch import load, save

    for name in (CONFIG, BASE_RECORD):
        write_bytes(folder / name, (source / name).read_bytes())
    tensors = load((source / TENSORS).read_bytes())
    rounded = {name: value.to(torch.bfloat16) for name, value in sorted(tensors.items())}
    write_bytes(folder / TENSORS, save(rounded, metadata={"format": "pt"}))


def _untie_updated(adapted: Any) -> None:
    """Give every layer with an update weights of its own."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [part.get_base_layer() for part in adapted.modules() if isinstance(part, BaseTunerLayer)]
    owners = Counter(
        parameter.data_ptr()
        for part in adapted.modules()
        for parameter in part.parameters(recurse=False)
        if parameter.numel()
    )
    for layer in layers:
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and owners[weight.data_ptr()] > 1:
            layer.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)


def _probe_logits(model: Any) -> Tensor:
    """Float32 logits of a few tokens spread over the vocabulary."""
    size = model.get_input_embeddings().weight.shape[0]
    device = next(model.parameters()).device
    ids = torch.linspace(0, size - 1, min(PROBE_TOKENS, size), device=device).long()[None]
    return model(input_ids=ids, use_cache=False).logits.float()


def _refuse(name: str, found: str) -> ModelError:
    return ModelError(
        name,
        expected="an adapter that can be folded into the weights",
        found=found,
        fix="use a plain LoRA adapter on linear layers, or leave it apart (--dtype bfloat16 does)",
    )
