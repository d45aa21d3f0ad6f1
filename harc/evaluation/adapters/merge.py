"""Merging an adapter into its base: in float64, rounded once, read back from disk and compared with the two."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, ModelError
from harc.core.files import atomic_directory, system_errors, write_text
from harc.evaluation.adapters.base import BaseFiles, open_base, resolve_preset
from harc.evaluation.adapters.checks import Subject, describe_adapter, require_sound
from harc.evaluation.adapters.folder import open_adapter
from harc.evaluation.adapters.licences import FILES
from harc.evaluation.adapters.text import escape_text, make_front_matter, shorten_place
from harc.model.handle import ModelHandle
from harc.model.tensors import explain_problems
from harc.model.weights import HUB_ID, find_model

DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
TEXTS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "tokenizer.model", "chat_template.jinja", "generation_config.json",
)  # fmt: skip
"""Files of a base that say how it reads and writes texts."""
PROBE_TOKENS = 16
LOST = 0.05  # share of the update's norm that rounding may take without a word


def merge_adapter(
    name: str, base: str, out: Path, *, dtype: str | None = None, licence: str | None = None
) -> str:
    """Write the merged model into a new folder, all at once.

    Args:
        name: of the adapter.
        base: of the base model.
        out: folder to write.
        dtype: of its weights; None: that of the base's.
        licence: of the base, where its folder declares none.

    Returns:
        What was done, in a line.

    Raises:
        ConfigError: for a folder that is there, or an unknown dtype.
        ModelError: where a check fails, or the written model gives other logits than base and adapter.
    """
    if out.exists():
        raise ConfigError(
            f"--out {out}", expected="a new folder", found="one that is there", fix="name another"
        )
    if dtype is not None and dtype not in DTYPES.values():
        raise ConfigError(
            "--dtype", expected=" or ".join(DTYPES.values()), found=dtype, fix="choose one of them"
        )
    handle = find_model(resolve_preset(base))
    files = replace(open_base(str(handle.weights)), name=handle.name, revision=handle.revision)
    subject = Subject(open_adapter(name), files, licence)
    require_sound(subject)
    dtype = dtype or find_dtype(files)
    with atomic_directory(out) as folder:
        lost, wanted = _write_merged(replace(handle, method=subject.adapter.path), folder, dtype)
        _copy_texts(files.folder, folder)
        gap = _compare_written(folder, dtype, wanted)
        write_text(folder / "README.md", write_merged_card(subject, files, dtype, lost))
    said = f"wrote {out}: {dtype}, logits within {gap:.1g} of base and adapter"
    if lost > LOST:
        said += f"; note: rounding to {dtype} took {lost:.0%} of the update: --dtype float32 keeps it"
    return said


def find_dtype(base: BaseFiles) -> str:
    """The precision that most of a base's weights have; float32 where no header could be read."""
    kinds = [entry["dtype"] for entry in base.tensors.values() if entry["dtype"] in DTYPES]
    return DTYPES[max(sorted(set(kinds)), key=kinds.count)] if kinds else "float32"


def _write_merged(handle: ModelHandle, folder: Path, dtype: str) -> tuple[float, Any]:
    """Write weights and config, and the tokenizer of a base that has it in a GGUF file.

    Returns:
        The share of the update's norm that rounding took, and the logits of base and adapter.

    Raises:
        ModelError: if the merged model gives others, before rounding.
    """
    import torch

    from harc.model.adapters import MERGED_TOLERANCE, merge_weights
    from harc.model.load import quiet_library

    opened = handle.open()
    adapted = opened.model.double()
    plain = {name: weight.clone() for name, weight in _list_base_weights(adapted)}
    with explain_problems(
        str(handle.method),
        expected="a model that can be run in float64",
        fix="merge it with PEFT, or load the adapter beside its base",
    ):
        wanted = _probe(adapted)
    merged = merge_weights(adapted, str(handle.method))
    _require_close(str(handle.method), _measure_gap(_probe(merged), wanted), MERGED_TOLERANCE)
    lost = _measure_rounding(plain, merged, getattr(torch, dtype))
    del plain
    ends = (merged.get_input_embeddings(), merged.get_output_embeddings())
    if None not in ends and ends[0].weight.data_ptr() != ends[1].weight.data_ptr():
        merged.config.tie_word_embeddings = False
    with system_errors(folder), quiet_library():
        merged.to(getattr(torch, dtype)).save_pretrained(folder)
        if not (Path(handle.weights) / TEXTS[0]).is_file():
            opened.tokenizer.save_pretrained(folder)
    return lost, wanted


def _list_base_weights(adapted: Any) -> list[tuple[str, Any]]:
    """(name in the merged model, weight) of every layer with an update."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [
        (
            f"{name}.weight",
            getattr(part.get_base_layer(), "weight", None),
        )  # experts have several, of other names
        for name, part in adapted.get_base_model().named_modules()
        if isinstance(part, BaseTunerLayer)
    ]
    return [(name, weight.detach()) for name, weight in layers if weight is not None]


def _measure_rounding(plain: dict[str, Any], merged: Any, dtype: Any) -> float:
    """Norm of what rounding changes in the layers with an update, relative to the norm of the update."""
    weights = dict(merged.named_parameters())
    error = update = 0.0
    for name in plain.keys() & weights.keys():
        before, after = plain[name], weights[name].detach()
        error += float((after.to(dtype).double() - after).square().sum())
        update += float((after - before).square().sum())
    return (error / update) ** 0.5 if update else 0.0


def _probe(model: Any) -> Any:
    """Float32 logits of a few tokens spread over the vocabulary."""
    import torch

    with torch.no_grad():
        size = model.get_input_embeddings().weight.shape[0]
        ids = torch.linspace(0, size - 1, min(PROBE_TOKENS, size)).long()[None]
        return model.eval()(input_ids=ids, use_cache=False).logits.float()


def _measure_gap(logits: Any, wanted: Any) -> float:
    """Norm of a difference of logits, relative to the norm of those that are wanted."""
    return float((logits - wanted).norm() / wanted.norm())


def _require_close(name: str, gap: float, limit: float) -> None:
    if not gap <= limit:  # NaN is no agreement
        raise ModelError(
            name,
            expected=f"a merged model whose logits are within {limit:g} of base and adapter",
            found=f"{gap:.2g}",
            fix="merge with --dtype float32, or load the adapter beside its base",
        )


def _compare_written(folder: Path, dtype: str, wanted: Any) -> float:
    """How far the logits of the model on disk are from those of base and adapter.

    Raises:
        ModelError: if too far.
    """
    from harc.model.adapters import MERGED_TOLERANCE, MERGED_TOLERANCE_HALF
    from harc.model.load import load_causal_lm

    model, _ = load_causal_lm(str(folder), dtype, "cpu")
    gap = _measure_gap(_probe(model), wanted)
    _require_close(str(folder), gap, MERGED_TOLERANCE if dtype == "float32" else MERGED_TOLERANCE_HALF)
    return gap


def _copy_texts(source: Path, folder: Path) -> None:
    """Put the base's own tokenizer, template and terms in place, byte for byte."""
    for name in (*TEXTS, *FILES):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if (source / "additional_chat_templates").is_dir():
        shutil.copytree(
            source / "additional_chat_templates", folder / "additional_chat_templates", dirs_exist_ok=True
        )


def write_merged_card(subject: Subject, base: BaseFiles, dtype: str, lost: float) -> str:
    """The card of a merged model: that it is one, of what, how."""
    licence = subject.base_licence
    facts = describe_adapter(subject.adapter)
    names = [escape_text(shorten_place(name)) for name in (base.name, subject.adapter.name)]
    front = {
        "base_model": base.name if HUB_ID.fullmatch(base.name) else None,
        "base_model_relation": "merge",
        "license": None if licence is None else licence.name,
        "library_name": "transformers",
        "tags": ["merged", "lora"],
    }
    return make_front_matter(front) + "\n".join(
        [
            "",
            "# A merged model",
            "",
            f"This is {names[0]} with the {escape_text(facts.get('kind', 'LoRA'))} adapter {names[1]} merged into its "
            f"weights: no adapter needs to be loaded. Rank {facts.get('rank')}, scale {facts.get('scale', 0):g}. "
            f"Merged in float64 and rounded once to {dtype}; "
            f"rounding changed the merged layers by {lost:.2%} of the update's norm.",
            "",
            "Tokenizer and chat template are the base's own. Scores of the adapter are not those of this model: "
            "rounding moves answers.",
            "",
        ]
    )
