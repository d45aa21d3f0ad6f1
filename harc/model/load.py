"""Loading a causal language model with its tokenizer: whole, finite, and what its files say."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

from harc.core.errors import ModelError
from harc.model.folders import check_model_folder, list_leftover, list_tensors
from harc.model.handle import RELOAD
from harc.model.tensors import check_tensors, explain_problems, name_some, read_object
from harc.model.weights import find_folder

FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
GENERIC = ("TokenizersBackend", "PreTrainedTokenizerFast")
"""Tokenizer classes that take tokenizer.json as it is."""
PROBES = (
    "Hello, world! How are you?", "hello world", "  two  spaces ", "a\nb\n\nc\r\n\td", "don't we'll I'M THEY'RE",
    "1 12 123 1234567 3.14159 1,000", "camelCase snake_case kebab-case", "x = [i**2 for i in range(10)]; # ok?",
    "https://example.org/a?b=c&d=e#f", "naïve café Ünïcödé ﬁ e\u0301 é", "Привет мир 你好世界",
    "こんにちは 안녕 مرحبا नमस्ते", "😀👩‍👩‍👧 ½ ² µ Å Ω", "\u00a0\u200b\u3000x", "", " ", "\n", "ALL CAPS Title Case",
    "<b>&amp;</b> {\"a\": [1]}",
)  # fmt: skip
"""Texts on which ways of splitting differ: spaces, line breaks, digits, apostrophes, scripts, composed letters."""


def load_tokenizer(source: str, names: dict[str, Any]) -> Any:
    """The tokenizer of a folder, with the ids of its tokenizer.json if it has one.

    Args:
        source: folder.
        names: gguf_file, for transformers, where the model is one.

    Raises:
        ModelError: if it cannot be loaded, or no class of transformers reproduces tokenizer.json.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = Path(source)
    declared = read_object(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    fix = "get the tokenizer's files again"
    with explain_problems(source, expected="a tokenizer", fix=fix):
        kind = declared.get("tokenizer_class")
        if not isinstance(kind, str | None):
            raise ValueError(f"tokenizer_class {kind!r} in {CONFIG}")
        if kind in GENERIC:
            return _check_ids(source, PreTrainedTokenizerFast.from_pretrained(source, **names), names)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **names)
        if _find_difference(source, tokenizer, names) is None:
            return tokenizer
        return _check_ids(source, PreTrainedTokenizerFast.from_pretrained(source, **names), names)


def _check_ids(source: str, tokenizer: Any, names: dict[str, Any]) -> Any:
    text = _find_difference(source, tokenizer, names)
    if text is None:
        return tokenizer
    raise ModelError(
        source,
        expected=f"the token ids of {FILE}",
        found=f"others, as of {text!r}: {CONFIG} changes what the file says",
        fix=f"set tokenizer_class to PreTrainedTokenizerFast in {CONFIG}, or get both files again",
    )


def _find_difference(source: str, tokenizer: Any, names: dict[str, Any]) -> str | None:
    """The first probe of which a tokenizer's ids are not those of its tokenizer.json; None if there is none."""
    file = Path(source) / FILE
    if names or not file.is_file():  # a GGUF file holds its own
        return None
    from tokenizers import Tokenizer

    raw = Tokenizer.from_file(str(file))
    raw.no_padding()
    raw.no_truncation()
    added = [token.content for token in raw.get_added_tokens_decoder().values() if token.special]
    probes = [*PROBES, "".join(f"a{content}" for content in added)]
    for text in probes:
        if (
            tokenizer(text, add_special_tokens=False).input_ids
            != raw.encode(text, add_special_tokens=False).ids
        ):
            return text
    return None


def check_vocabulary(source: str, tokenizer: Any, model: Any) -> None:
    """Refuse a tokenizer whose ids the model has no embedding for, and one that has no tokens at all.

    Tokens added on top may lie beyond (as Gemma 3's image token), unless they pad or end a text.

    Raises:
        ModelError: naming a token.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    added = set(tokenizer.get_added_vocab())
    words = tokenizer.get_vocab()
    needed = {tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token} - {None}
    known = {token: place for token, place in words.items() if token not in added or token in needed}
    if not words.keys() - added:
        raise ModelError(
            source,
            expected="a tokenizer with a vocabulary",
            found="none",
            fix="add the model's tokenizer files",
        )
    token, largest = max(known.items(), key=lambda item: item[1])
    if largest >= rows:
        raise ModelError(
            source,
            expected=f"token ids below {rows}, which the model has embeddings for",
            found=f"{largest} for {token!r}",
            fix="use the tokenizer of this model",
        )


DTYPES = ("float32", "bfloat16", "float16")
FIX = "get the model's files again, or use another model"
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
        EnvironmentProblem: if the hub does not give it.
    """
    import torch

    if dtype not in DTYPES:
        raise ModelError("dtype", expected=" or ".join(DTYPES), found=dtype, fix="choose one of them")
    folder = str(find_folder(source, revision))
    gguf = check_model_folder(Path(folder))
    names = {} if gguf is None else {"gguf_file": gguf.name}
    tokenizer = load_tokenizer(folder, names)
    model = _load_model(folder, names, device, getattr(torch, dtype))
    check_vocabulary(folder, tokenizer, model)
    if dtype == "float16":
        setattr(model, RELOAD, partial(_load_model, folder, names, "cpu"))
    return model, tokenizer


def _load_model(folder: str, names: Mapping[str, str], device: str, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM, GgufConfig

    options: dict[str, Any] = {"device_map": "auto"} if device == "auto" else {}
    if names:
        options |= {**names, "quantization_config": GgufConfig(dequantize=True)}
    with explain_problems(folder, expected="a causal language model", fix=FIX), quiet_library():
        if not names:
            _check_shapes(folder)
        model, report = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, trust_remote_code=False, output_loading_info=True, **options
        )
        leftover = list_leftover(Path(folder) / names["gguf_file"], model) if names else []
    check_report(folder, {**report, "unexpected_keys": [*report["unexpected_keys"], *leftover]})
    with explain_problems(folder, expected=f"room for the model on {device}", fix="choose another device"):
        model = model if device == "auto" else model.to(device)
    check_weights(model, folder)
    return model


@contextmanager
def quiet_library() -> Iterator[None]:
    """No bars and no reports of transformers: what they would say is an error here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with redirect_stderr(
            io.StringIO()
        ):  # GGUF files are dequantised behind a bar that no setting takes away
            yield
    finally:
        logging.set_verbosity(level)


def _check_shapes(folder: str) -> None:
    """Refuse weights of other shapes than the config's, which transformers names in a table alone.

    The model is built without memory for its weights. Names that transformers changes on loading are left to it.

    Raises:
        ModelError: naming the weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    entries = list_tensors(Path(folder))
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    other = [
        f"{name} ({entry['shape']}, not {shapes[name]})"
        for name, entry in sorted(entries.items())
        if name in shapes and entry["shape"] != shapes[name]
    ]
    if other:
        raise _refuse(folder, f"weights of another shape: {name_some(other)}")


def check_report(source: str, report: Mapping[str, Any]) -> None:
    """Refuse what transformers would fill with random numbers or leave out.

    Args:
        source: of the model.
        report: loading info of `from_pretrained`; weights that are tied to others do not count as missing.

    Raises:
        ModelError: naming the weights.
    """
    kinds = {
        "no weights for": sorted(report["missing_keys"]),
        "weights of another shape for": sorted(str(entry[0]) for entry in report["mismatched_keys"]),
        "weights that the model has no place for:": sorted(
            name for name in report["unexpected_keys"] if not COMPUTED.search(name)
        ),
    }
    found = [f"{words} {name_some(names)}" for words, names in kinds.items() if names]
    if found:
        raise _refuse(source, "; ".join(found))


def _refuse(source: str, found: str) -> ModelError:
    return ModelError(
        source,
        expected="one weight for each parameter of the model in config.json",
        found=found,
        fix="get the checkpoint again, or use the config.json that belongs to it",
    )


def check_weights(model: Any, where: str) -> None:
    """Refuse a model with NaN or infinity among its weights, or with weights that are not loaded.

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
