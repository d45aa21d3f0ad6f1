"""What identifies a model: the bytes of its files, and for adapters a sample of its weights."""

import hashlib
from pathlib import Path
from typing import Any

from harc.core.errors import ModelError
from harc.core.files import read_json, sha256_file

BASE_RECORD = "base_model.json"  # beside our adapters: what their base model was
UNREAD = (
    ".md",
    ".jsonl",
    ".png",
    ".jpg",
    ".svg",
    ".pdf",
    ".html",
    ".gitattributes",
    ".gitignore",
    ".DS_Store",
)
"""Ends of names that no loader reads: descriptions, logs, pictures. Whatever else lies there counts."""
TEMPLATES = "additional_chat_templates"  # the only folder within a model's that transformers reads
RELOAD = "harc_reload"  # attribute of a model: how to load it again in another precision


def hash_weights(source: Path | str) -> str:
    """SHA-256 over the files of a local model or adapter folder; the name itself for a hub id.

    Every file counts that could change an answer: weights in any form, config, generation config, tokenizer, chat
    templates. Links are followed, as the loaders do.

    Raises:
        ModelError: for a link that leads nowhere, or something that is no file.
    """
    folder = Path(source)
    if not folder.is_dir():
        return str(source)
    digest = hashlib.sha256()
    for path in sorted([*folder.iterdir(), *(folder / TEMPLATES).glob("*")]):
        if path.name.endswith(UNREAD) or path.is_dir():
            continue
        if not path.is_file():
            raise ModelError(
                str(path),
                expected="a file",
                found="a link that leads nowhere"
                if path.is_symlink()
                else "something else (a pipe, a device)",
                fix="remove it, or get the model again",
            )
        digest.update(f"{path.relative_to(folder)} {sha256_file(path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def check_base(model: Any, folder: Path) -> None:
    """Compare the base model that an adapter folder of ours records with the one at hand; others' record none.

    Raises:
        ModelError: if they differ.
    """
    if not (folder / BASE_RECORD).is_file():
        return
    recorded, here = read_json(folder / BASE_RECORD), describe_base(model)
    if not isinstance(recorded, dict):
        recorded = {}
    differing = [name for name in here if recorded.get(name) != here[name]]
    if differing:
        raise ModelError(
            str(folder),
            expected="the base model it was trained on",
            found=f"one that differs in {', '.join(differing)}",
            fix="load the backbone that the adapter was trained on",
        )


def describe_base(model: Any) -> dict[str, Any]:
    """What identifies a base model: its shape, and a digest of 16 numbers of each of its tensors.

    The numbers are those of the checkpoint, rounded to bfloat16, so that a model has one digest whatever precision it
    is loaded in. float16 has lost some of them (it rounds otherwise, and has no small numbers): such a model is loaded
    once more in bfloat16 to be described.
    """
    import torch

    reload = getattr(model, RELOAD, None)
    if model.dtype == torch.float16 and reload is not None:
        model = reload(torch.bfloat16)
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        sample = value.flatten()[:16].to("cpu", torch.bfloat16).view(torch.int16)
        digest.update(f"{name} {tuple(value.shape)} {sample.tolist()}\n".encode())
    config = model.config.get_text_config()
    return {
        "model_type": config.model_type,
        "n_layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "sampled_weights_sha256": digest.hexdigest(),
    }
