"""Sidecars: what each artifact came from, written when, and only when, the artifact is complete.

A sidecar `<artifact>.provenance.json` names the command, the settings and code it depended on, inputs and outputs
with their SHA-256, the seed, package versions, the machine, and what the step cost. Paths in it start with
`results://` (under the results root) or `project://` (under the working directory), so a moved tree still reads.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from harc.core.artifacts import SIDECAR_SUFFIX, sidecar_path
from harc.core.energy import EnergyMeter
from harc.core.errors import ArtifactError, DataError
from harc.core.files import read_json, sha256_file, sha256_text, write_json

PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "accelerate",
    "tokenizers",
    "safetensors",
    "gguf",
    "datasets",
    "datasketch",
    "jinja2",
    "lm_eval",
    "xllamacpp",
    "nltk",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
)
"""Distributions whose release can change a number, a text, or the bytes of a figure."""


@cache
def _find_version(package: str) -> str | None:
    """A lookup parses a package's metadata, and an audit asks for each of them."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def read_versions() -> dict[str, str]:
    """Version of Python and of every package among PACKAGES that is installed."""
    found = {package: _find_version(package) for package in PACKAGES}
    return {"python": platform.python_version()} | {
        name: version for name, version in found.items() if version
    }


FORMAT = 1
ASIDE = f"{SIDECAR_SUFFIX}.before"  # the sidecar of the last run while its step runs again


def name_path(path: Path, results_root: Path) -> str:
    """`results://...`, `project://...`, or the absolute path for a file outside both."""
    path, root, project = (Path(p).absolute() for p in (path, results_root, Path.cwd()))
    if path.is_relative_to(root):
        return f"results://{path.relative_to(root).as_posix()}"
    if path.is_relative_to(project):
        return f"project://{path.relative_to(project).as_posix()}"
    return path.as_posix()


def resolve_name(name: str, results_root: Path, project: Path | None = None) -> Path:
    """The path that a sidecar's name stands for; the reverse of `name_path`."""
    scheme, separator, rest = name.partition("://")
    if not separator:
        return Path(name)
    return (results_root if scheme == "results" else (project or Path.cwd())) / rest


def is_strict_name(name: str) -> bool:
    """Whether a sidecar's name is one that `name_path` writes for a file of the tree or the project: no way out."""
    scheme, _, rest = name.partition("://")
    parts = rest.split("/")
    return scheme in ("results", "project") and not {"", ".", ".."} & set(parts) and rest.isprintable()


def list_files(paths: Iterable[Path]) -> list[Path]:
    """Every regular file among the paths and in the folders among them, sorted, without sidecars.

    Raises:
        ArtifactError: if a path does not exist.
    """
    found: set[Path] = set()
    for path in map(Path, paths):
        if path.is_dir():
            found.update(
                f for f in path.rglob("*") if f.is_file() and not f.name.endswith((SIDECAR_SUFFIX, ASIDE))
            )
        elif path.is_file():
            found.add(path)
        else:
            raise ArtifactError(
                str(path), expected="a file or folder", found="none", fix="run the step that makes it"
            )
    return sorted(found)


def hash_files(paths: Iterable[Path], results_root: Path) -> dict[str, str]:
    """SHA-256 of every file among the paths, by its sidecar name."""
    return {name_path(path, results_root): sha256_file(path) for path in list_files(paths)}


def read_git_commit() -> str | None:
    """Commit of the working directory, with `+changes` where files differ from it; None without git."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        status = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def _read_device() -> dict[str, str | int]:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_num_threads"):
        return {"type": "cpu", "threads": int(os.environ.get("OMP_NUM_THREADS") or 1)}
    if torch.cuda.is_available():
        return {"type": torch.cuda.get_device_name(0), "threads": torch.get_num_threads()}
    return {"type": "cpu", "threads": torch.get_num_threads()}


def _read_peak_memory() -> float:
    """Peak resident memory of this process in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes on macOS, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def _read_cpu_seconds() -> float:
    """CPU time of this process and of those that it started and waited for (seconds)."""
    used = os.times()
    return round(used.user + used.system + used.children_user + used.children_system, 3)


def seal_record(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the SHA-256 of the rest of it under `seal`, which an edited sidecar no longer fits."""
    content = {name: value for name, value in record.items() if name != "seal"}
    return {**content, "seal": sha256_text(json.dumps(content, sort_keys=True, ensure_ascii=False))}


def _is_untouched(sidecar: Path, results_root: Path) -> bool:
    """Whether every output that a sidecar names still has the hash that it gives."""
    try:
        return all(
            sha256_file(resolve_name(name, results_root)) == digest
            for name, digest in read_json(sidecar)["outputs"].items()
        )
    except (
        DataError,
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ):  # damaged, or files are gone
        return False


@contextmanager
def record_step(
    artifact: Path,
    *,
    results_root: Path,
    command: str,
    inputs: Iterable[Path],
    outputs: Iterable[Path] | None = None,
    code: str,
    settings: dict[str, Any],
    settings_hash: str,
    seed: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Run a step and, if it ends without an error, write the artifact's sidecar in place of an older one.

    Inputs are hashed before the block runs: a file that changes meanwhile is what the audit should find. A step that
    fails leaves the last run's artifact with its sidecar as they were, or, if it changed any of the artifact's files,
    no sidecar. While a step runs the old sidecar is set aside, so that one that is killed leaves no artifact that
    passes for complete; the next attempt finds it there.

    Args:
        artifact: the file or folder that the sidecar stands beside.
        results_root: root of the results tree.
        command: the `harc` command that makes the artifact, for a person to run.
        inputs: files and folders read.
        outputs: files and folders written; by default the artifact alone.
        code: fingerprint of the code that the step depends on.
        settings: the settings that the step depends on.
        settings_hash: their hash, as the workflow compares it.
        seed: the seed of the step's random numbers.

    Yields:
        A mapping for the step's own facts (dtype, revisions), stored under `facts`.
    """
    sidecar, aside = sidecar_path(artifact), sidecar_path(artifact).with_name(f".{artifact.name}{ASIDE}")
    input_hashes = hash_files(inputs, results_root)
    if sidecar.is_file():
        os.replace(sidecar, aside)
    facts: dict[str, Any] = {}
    started, meter = time.time(), EnergyMeter()
    try:
        yield facts
        output_hashes = hash_files(outputs if outputs is not None else [artifact], results_root)
    except BaseException:
        if _is_untouched(aside, results_root):
            os.replace(aside, sidecar)
        aside.unlink(missing_ok=True)
        raise
    record = {
        "format": FORMAT,
        "command": command,
        "code": code,
        "settings": settings,
        "settings_hash": settings_hash,
        "seed": seed,
        "inputs": input_hashes,
        "outputs": output_hashes,
        "versions": read_versions(),
        "device": _read_device(),
        "facts": facts,
        "git_commit": read_git_commit(),
        "started": round(started, 3),
        "wall_seconds": round(time.time() - started, 3),
        "cpu_seconds": _read_cpu_seconds(),
        "peak_memory_mb": _read_peak_memory(),
        "energy": meter.read(),
    }
    aside.unlink(missing_ok=True)
    write_json(sidecar, seal_record(record))
