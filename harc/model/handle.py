"""A model by its name: where its weights lie, what a method made of it, how it is loaded and what it is told.

Every step, command and call that needs a model takes a `ModelHandle` and opens it; what it is, is hashed in one place.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harc.core.errors import ModelError
from harc.core.files import read_json, sha256_file
from harc.model.folders import find_gguf, list_tensors

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


if TYPE_CHECKING:
    from harc.model.backbones import Backbone


@dataclass(frozen=True)
class ModelHandle:
    """A chat model that can be opened.

    Attributes:
        weights: folder of the model (safetensors, or one GGUF file), or a hub id.
        method: folder of a LoRA adapter or of a steering to put on; None for the model as it is.
        dtype: "float32", "bfloat16" or "float16".
        device: "cpu", "cuda", "cuda:1", or "auto" to spread the blocks over all GPUs.
        revision: commit on the hub, where there is one.
        name: how records name the model, free of this machine's paths; the weights by default.
        chat: what its chat template is told: template_options, date, system; see `ChatFormat`.
        training_dtype: precision in which it is trained; None: dtype.
    """

    weights: Path | str
    method: Path | str | None = None
    dtype: str = "float32"
    device: str = "cpu"
    revision: str | None = None
    name: str = ""
    chat: Mapping[str, Any] = field(default_factory=dict)
    training_dtype: str | None = None

    def for_training(self) -> "ModelHandle":
        """The same model in the precision in which it is trained."""
        return replace(self, dtype=self.training_dtype or self.dtype)

    def identify(self) -> dict[str, Any]:
        """What its answers depend on, by the bytes of its files (see `hash_weights`); free of paths.

        Raises:
            ModelError: for a folder with something that is no file.
        """
        return {
            "weights": hash_weights(self.weights),
            "method": None if self.method is None else hash_weights(self.method),
            "dtype": self.dtype,
            "chat": dict(self.chat),
        }

    def describe(self) -> dict[str, Any]:
        """How records name the model: its name, and its commit on the hub or the hash of its files."""
        found = {"revision": self.revision} if self.revision else {"sha256": hash_weights(self.weights)}
        return {"source": self.name or str(self.weights), **found}

    def can_fold_exactly(self) -> bool:
        """Whether an adapter can be added to weights that nothing has rounded yet; see `open`."""
        if self.dtype == "float32":
            return True
        folder = Path(self.weights)
        if self.device == "auto" or not folder.is_dir():
            return False
        if find_gguf(folder):
            return True
        kept = {entry["dtype"] for entry in list_tensors(folder).values()}
        return kept == {"F32"}

    def open(self, *, fold: bool = False) -> "Backbone":
        """Load the model with what its method made of it.

        Args:
            fold: fold a LoRA adapter into the weights where that changes logits by rounding only; it halves the time
                of a step. That is in float32, and in 16 bits where the weights lie on disk in float32: the sum is
                taken in float32 and rounded once. Added to weights that are rounded already, small updates would be
                lost, so there the adapter stays apart.

        Raises:
            ModelError, ArtifactError: for a model or a method that cannot be used, or that do not belong together.
        """
        from harc.model.backbones import load_backbone
        from harc.model.steering import RULE

        steered = self.method is not None and (Path(self.method) / RULE).is_file()
        fold = fold and self.method is not None and not steered
        exact = fold and self.can_fold_exactly()
        backbone = load_backbone(
            self.weights,
            adapter=None if steered else self.method,
            dtype="float32" if exact else self.dtype,
            device=self.device,
            revision=self.revision,
            **self.chat,
        )
        if steered:
            backbone = _steer(backbone, Path(self.method or ""))
        if exact:
            from harc.model.adapters import fold_adapter, round_weights

            backbone = fold_adapter(backbone)
            round_weights(backbone.model, self.dtype)
        if self.dtype == "bfloat16":
            from harc.model.bfloat16 import widen_linears

            widen_linears(backbone.model)
        return replace(backbone, source=self.name) if self.name else backbone


def _steer(backbone: "Backbone", folder: Path) -> "Backbone":
    """Put the steering of a folder on a model that it was fitted on."""
    from harc.model.steering import SteeringHooks, load_steering

    check_base(backbone.causal_lm, folder)
    steering = load_steering(folder)
    widths = {len(vector) for vector in (steering.vector, *steering.additions.values())}
    if widths != {backbone.hidden_size}:
        raise ModelError(
            str(folder),
            expected=f"vectors of {backbone.hidden_size} numbers, as wide as the model",
            found=", ".join(map(str, sorted(widths))),
            fix="fit the steering on this model",
        )
    SteeringHooks(backbone, steering)
    if any(vector.count_nonzero() for vector in steering.additions.values()):
        return backbone
    remark = f"{folder}: this steering adds nothing: every answer is the base model's"
    return replace(backbone, remarks=(*backbone.remarks, remark))
