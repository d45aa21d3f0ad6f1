"""Loading a causal language model with its tokenizer: whole, finite, and what its files say."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from harc.errors import ModelError
from harc.finite import check_tensors, name_some
from harc.loading.folders import check_model_folder
from harc.loading.identity import RELOAD
from harc.loading.problems import explain_problems
from harc.loading.tokenizers import check_vocabulary, load_tokenizer

DTYPES = ("float32", "bfloat16", "float16")
FIX = "check the folder or hub id, the network and the access token"
COMPUTED = re.compile(r"(^|\.)(rotary_\w*\.inv_freq|attn\.(masked_)?bias|attention\.(masked_)?bias)$")
"""What older checkpoints hold and newer models compute: rotary frequencies and causal masks."""


def load_causal_lm(source: str, dtype: str, device: str, revision: str | None = None) -> tuple[Any, Any]:
    """A causal language model, chat model or not, and its tokenizer; never runs code that comes with a model.

    Args:
        source: a local folder (safetensors, or one GGUF file, which is dequantised) or a hub id.
        dtype: "float32", "bfloat16" or "float16".
        device: "cpu", "cuda", "cuda:1", or "auto" to spread the model over all GPUs.
        revision: commit of a hub model.

    Raises:
        ModelError: if one of the two cannot be loaded, weights are missing, left over, or not finite, or the
            tokenizer does not fit tokenizer.json or the model.
    """
    import torch

    if dtype not in DTYPES:
        raise ModelError("dtype", expected=" or ".join(DTYPES), found=dtype, fix="choose one of them")
    options = _choose_options(source, revision)
    names = {key: value for key, value in options.items() if key in ("gguf_file", "revision")}
    tokenizer = load_tokenizer(source, names)
    model = _load_model(source, options, device, getattr(torch, dtype))
    check_vocabulary(source, tokenizer, model)
    if dtype == "float16":
        setattr(model, RELOAD, partial(_load_model, source, options, "cpu"))
    return model, tokenizer


def _choose_options(source: str, revision: str | None) -> dict[str, Any]:
    folder = Path(source)
    if not folder.is_dir():
        return {"revision": revision}
    gguf = check_model_folder(folder)
    if gguf is None:
        return {}
    from transformers import GgufConfig

    return {"gguf_file": gguf.name, "quantization_config": GgufConfig(dequantize=True)}


def _load_model(source: str, options: Mapping[str, Any], device: str, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    placement = {"device_map": "auto"} if device == "auto" else {}
    with explain_problems(source, expected="a causal language model", fix=FIX), quiet_library():
        model, report = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, trust_remote_code=False, output_loading_info=True, **options, **placement
        )
    check_report(source, report)
    with explain_problems(source, expected=f"room for the model on {device}", fix="choose another device"):
        model = model if device == "auto" else model.to(device)
    check_weights(model, source)
    return model


@contextmanager
def quiet_library() -> Iterator[None]:
    """No bars and no reports of transformers: what they would say is an error here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(level)


def check_report(source: str, report: Mapping[str, Any]) -> None:
    """Refuse what transformers would fill with random numbers, cut, or leave out.

    Args:
        source: of the model.
        report: loading info of `from_pretrained`; weights that are tied to others do not count as missing.

    Raises:
        ModelError: naming the weights.
    """
    unexpected = sorted(name for name in report["unexpected_keys"] if not COMPUTED.search(name))
    mismatched = sorted(
        entry if isinstance(entry, str) else str(entry[0]) for entry in report["mismatched_keys"]
    )
    kinds = {
        "no weights for": sorted(report["missing_keys"]),
        "weights of another shape for": mismatched,
        "weights that the model has no place for:": unexpected,
    }
    found = [f"{words} {name_some(names)}" for words, names in kinds.items() if names]
    if found:
        raise ModelError(
            source,
            expected="one weight for each parameter of the model in config.json",
            found="; ".join(found),
            fix="get the checkpoint again, or use the config.json that belongs to it",
        )


def check_weights(model: Any, where: str) -> None:
    """Refuse a model with NaN or infinity among its weights, or with weights left on disk.

    Raises:
        ModelError: naming the weights.
    """
    tensors = model.state_dict()
    away = sorted(name for name, value in tensors.items() if value.is_meta)
    if away:
        raise ModelError(
            where,
            expected="room for all weights on the GPUs",
            found=f"{len(away)} of {len(tensors)} moved off them, as {away[0]}",
            fix="use more or larger GPUs, a smaller dtype, or device cpu",
        )
    fix = "get the weights again; where they are sound, load the model in float32 or bfloat16"
    check_tensors(tensors.items(), where, fix)
