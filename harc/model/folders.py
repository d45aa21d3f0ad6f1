"""What a model's folder must hold, looked at before any library opens it: small texts and headers, no weights."""

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

from harc.core.errors import ModelError
from harc.model.tensors import is_packed, list_entries, read_object

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
INDICES = (INDEX, "pytorch_model.bin.index.json")
WEIGHTS = ("model.safetensors", INDEX, "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Names under which transformers finds weights, in its order."""
TEXTS = ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
AGAIN = "get the file again from where it was published"
MAGIC = b"GGUF"
VERSIONS = (2, 3)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value by its type's number."""
TEXT, ARRAY = 8, 9
DEEPEST = 4  # arrays of arrays
MOST_DIMENSIONS = 4
LONGEST_NAME = 1024
COMPUTED = ("rope_freqs", "rope_factors", "_exps")


def check_gguf(path: Path) -> list[str]:
    """Refuse a file that is no GGUF, is cut off in its header, or claims more than it can hold.

    Returns:
        Names of its tensors.

    Raises:
        ModelError: with what is wrong.
    """
    try:
        with open(path, "rb") as handle:
            return _walk(handle, os.path.getsize(path))
    except (ValueError, struct.error) as problem:
        raise ModelError(
            str(path),
            expected="a GGUF file",
            found=str(problem),
            fix="get the file again, or use another model",
        ) from None


def _walk(handle: BinaryIO, size: int) -> list[str]:
    if handle.read(4) != MAGIC:
        raise ValueError("another format (its first bytes are not GGUF)")
    version, tensors, values = struct.unpack("<IQQ", _take(handle, 20))
    if version not in VERSIONS:
        raise ValueError(f"version {version}, not {' or '.join(map(str, VERSIONS))}")
    if tensors + values > size:
        raise ValueError(f"{tensors} tensors and {values} values claimed in {size} bytes")
    for _ in range(values):
        _skip_text(handle, size)
        _skip_value(handle, size, _number(handle, 4), DEEPEST)
    names = []
    for _ in range(tensors):
        length = _number(handle, 8)
        if length > LONGEST_NAME:
            raise ValueError(f"a tensor's name of {length} bytes")
        names.append(_take(handle, length).decode("utf-8"))
        dimensions = _number(handle, 4)
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"a tensor of {dimensions} dimensions")
        _take(handle, 8 * dimensions + 12)
    return names


def list_leftover(path: Path, model: Any) -> list[str]:
    """Tensors of a GGUF file that transformers finds no place for in the model that it made of it; it says nothing.

    Rotary frequencies are computed; of experts, which it takes apart and joins, the names alone do not tell.
    """
    from transformers.modeling_gguf_pytorch_utils import (
        TENSOR_PROCESSORS,
        TensorProcessor,
        get_gguf_hf_weights_map,
    )

    processor = TENSOR_PROCESSORS.get(model.config.model_type, TensorProcessor)(config=model.config.to_dict())
    places = get_gguf_hf_weights_map(model, processor)
    names = (name for name in check_gguf(path) if name not in places)
    return sorted(name for name in names if not any(part in name for part in COMPUTED))


def _skip_value(handle: BinaryIO, size: int, kind: int, deepest: int) -> None:
    if kind == TEXT:
        _skip_text(handle, size)
    elif kind == ARRAY:
        inner, count = _number(handle, 4), _number(handle, 8)
        if inner in SIZES:
            _skip(handle, size, count * SIZES[inner])
            return
        if count > size or not deepest:
            raise ValueError(f"an array of {count} values claimed in {size} bytes")
        for _ in range(count):
            _skip_value(handle, size, inner, deepest - 1)
    elif kind in SIZES:
        _take(handle, SIZES[kind])
    else:
        raise ValueError(f"a value of unknown type {kind}")


def _skip_text(handle: BinaryIO, size: int) -> None:
    _skip(handle, size, _number(handle, 8))


def _skip(handle: BinaryIO, size: int, length: int) -> None:
    if length > size - handle.tell():
        raise ValueError(f"{length} bytes claimed at {handle.tell()} of {size}: cut off, or a false header")
    handle.seek(length, os.SEEK_CUR)


def _number(handle: BinaryIO, width: int) -> int:
    return int.from_bytes(_take(handle, width), "little")


def _take(handle: BinaryIO, length: int) -> bytes:
    data = handle.read(length)
    if len(data) < length:
        raise ValueError("the end of the file within its header: cut off")
    return data


def check_model_folder(folder: Path) -> Path | None:
    """Refuse a folder that would load as something else than it seems, or not at all.

    Returns:
        The GGUF file, if the model is one.

    Raises:
        ModelError: naming the file at fault.
    """
    if (folder / "adapter_config.json").is_file():
        # transformers would load the base model that the adapter names, from wherever, in place of this folder's.
        raise ModelError(
            str(folder),
            expected="a model",
            found="adapter_config.json, so an adapter",
            fix="name the adapter's base as the model, and this folder as --adapter",
        )
    gguf = find_gguf(folder)
    if gguf is not None:
        check_gguf(gguf)
        return gguf
    config = read_object(folder / CONFIG)
    _check_config(folder, config)
    for name in TEXTS:  # the library passes over some of these when they are broken
        if (folder / name).is_file():
            read_object(folder / name)
    _check_depth(folder, config, list_tensors(folder))
    return None


def list_tensors(folder: Path) -> dict[str, dict[str, Any]]:
    """dtype, shape and data_offsets of every tensor of a model in safetensors form; nothing for other forms.

    Raises:
        ModelError: for missing or damaged files, and for weights that are no floating-point numbers.
    """
    tensors: dict[str, dict[str, Any]] = {}
    for path in _list_weight_files(folder):
        if path.suffix == ".safetensors":
            entries = _read_entries(path)
            packed = [name for name in entries if name.endswith("weight") and is_packed(entries[name])]
            if packed:
                raise _refuse_quantised(path, f"{packed[0]} in {entries[packed[0]]['dtype']}")
            tensors |= entries
    return tensors


def _refuse_quantised(path: Path, found: str) -> ModelError:
    return ModelError(
        str(path),
        expected="weights in float32, bfloat16 or float16",
        found=f"a quantised checkpoint ({found})",
        fix="use the model that it was made from",
    )


def find_gguf(folder: Path) -> Path | None:
    """The folder's GGUF file; None if its weights are in another form.

    Raises:
        ModelError: if there are several.
    """
    files = sorted(folder.glob("*.gguf"))
    if not files or any((folder / name).is_file() for name in WEIGHTS):
        return None
    if len(files) > 1:
        raise ModelError(
            str(folder),
            expected="one GGUF file",
            found=", ".join(file.name for file in files),
            fix="keep one of them",
        )
    return files[0]


def _check_config(folder: Path, config: dict[str, Any]) -> None:
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise ModelError(
            str(folder / CONFIG),
            expected="model_type, a text",
            found=repr(kind),
            fix="use a whole model's folder",
        )
    if foreign := _find_foreign_code(config):
        raise ModelError(
            str(folder / CONFIG),
            expected="an attention of the library",
            found=f"{foreign}, code from the hub, which transformers would fetch and run",
            fix="take the entry out of config.json",
        )
    quantised = config.get("quantization_config") or config.get("compression_config")
    if quantised:
        method = quantised.get("quant_method", "no method") if isinstance(quantised, dict) else quantised
        raise _refuse_quantised(folder / CONFIG, method)


def _find_foreign_code(config: Any) -> str | None:
    """The entry of a config by which transformers runs a kernel of a hub repository; it needs no trust_remote_code."""
    for name, value in config.items() if isinstance(config, dict) else ():
        if str(name).endswith("_implementation") and "/" in str(value):
            return f"{name} {value!r}"
        if found := _find_foreign_code(value):
            return found
    return None


def _list_weight_files(folder: Path) -> list[Path]:
    """The files that transformers will read weights from.

    Raises:
        ModelError: if there are none, or one that the index names is missing or lies elsewhere.
    """
    name = next((name for name in WEIGHTS if (folder / name).is_file()), None)
    if name is None:
        others = sorted(path.name for path in folder.iterdir() if path.suffix in (".safetensors", ".bin"))
        dangling = [name for name in others if not (folder / name).exists()]
        if dangling:
            others = [f"{dangling[0]}, a link that leads nowhere,"]
        raise ModelError(
            str(folder),
            expected=f"weights: {', '.join(WEIGHTS[:3])} or one GGUF file",
            found=f"{', '.join(others[:4])} without an index" if others else "none",
            fix="get the missing files from where the model was published",
        )
    if name not in INDICES:
        return [folder / name]
    return _read_index(folder / name)


def _read_index(path: Path) -> list[Path]:
    shards = read_object(path).get("weight_map")
    if (
        not isinstance(shards, dict)
        or not shards
        or not all(isinstance(file, str) for file in shards.values())
    ):
        raise ModelError(
            str(path), expected="weight_map, which names a file for each tensor", found="none", fix=AGAIN
        )
    files = sorted(set(shards.values()))
    for file in files:
        if Path(file).name != file or not file.endswith((".safetensors", ".bin")):
            # What lies elsewhere, or goes by another name, is no part of this model, nor of its identity.
            raise ModelError(
                str(path), expected="names of weight files in this folder", found=file, fix=AGAIN
            )
        if not (path.parent / file).is_file():
            raise ModelError(
                str(path.parent),
                expected=f"the {len(files)} files of {path.name}",
                found=f"no {file}",
                fix=AGAIN,
            )
    return [path.parent / file for file in files]


def _read_entries(path: Path) -> dict[str, dict[str, Any]]:
    try:
        return list_entries(path)
    except (OSError, ValueError) as problem:
        raise ModelError(str(path), expected="a safetensors file", found=str(problem), fix=AGAIN) from None


def _check_depth(folder: Path, config: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Refuse a depth that the weights cannot have: building the blocks alone would take all memory."""
    text = config.get("text_config")
    text = text if isinstance(text, dict) else config
    depth = text.get("num_hidden_layers", text.get("n_layer"))
    if tensors and isinstance(depth, int) and depth > len(tensors):
        raise ModelError(
            str(folder / CONFIG),
            expected=f"as many blocks as {len(tensors)} tensors can fill",
            found=f"{depth}",
            fix="use config.json and weights of one model",
        )
