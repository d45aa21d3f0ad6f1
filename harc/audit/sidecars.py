"""Reading sidecars, and what one alone can say: its form, its seal, its place."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.audit.report import Finding
from harc.core.artifacts import SIDECAR_SUFFIX as SUFFIX
from harc.core.artifacts import is_rendering, sidecar_path
from harc.core.errors import DataError, HarcError
from harc.core.files import encode_json, read_json, sha256_text
from harc.core.provenance import FORMAT, is_strict_name, resolve_name, seal_record
from harc.steps.commands import parse_command
from harc.steps.running import hash_settings

DIGEST = re.compile(r"[0-9a-f]{64}")
LARGEST_RECORD = 64 << 20
"""Bytes; a sidecar of 300,000 files fits."""
HASHED_FIELDS = ("command", "settings_hash", "seed", "inputs", "outputs")
FIELDS = {
    "format": int,
    "command": str,
    "code": str,
    "settings": dict,
    "settings_hash": str,
    "seed": int | None,
    "inputs": dict,
    "outputs": dict,
    "versions": dict,
    "git_commit": str | None,
    "wall_seconds": int | float,
    "seal": str,
}


@dataclass(frozen=True)
class Sidecar:
    """A readable sidecar.

    Attributes:
        path: its file.
        record: its content.
        inputs, outputs: path of each file named in it, by name.
    """

    path: Path
    record: dict[str, Any]
    inputs: dict[str, Path]
    outputs: dict[str, Path]

    @property
    def command(self) -> str:
        """What the sidecar says made the artifact: anyone's words, not to be shown as advice (see `repair`)."""
        return self.record["command"]

    @property
    def repair(self) -> str:
        """Advice that is safe to follow: the step's command if it is one of this project's, else words alone."""
        try:
            parse_command(self.command)
        except HarcError:
            return f"run the step that makes {self.artifact.name}"
        return f"run `{self.command}`"

    @property
    def artifact(self) -> Path:
        """The file or folder that the sidecar stands beside."""
        return self.path.with_name(self.path.name.removesuffix(SUFFIX))


def _find_malformed_field(record: Any) -> tuple[str, str] | None:
    """(expected, found) of the first thing wrong with a sidecar's form."""
    if not isinstance(record, dict):
        return "a JSON object", type(record).__name__
    for name, kind in FIELDS.items():
        if name not in record:
            return f"the field {name}", "no such field"
        if not isinstance(record[name], kind) or isinstance(record[name], bool):
            return f"{name} of type {kind}", type(record[name]).__name__
    if record["format"] != FORMAT:
        return f"format {FORMAT}", str(record["format"])
    return _find_malformed_files(record["inputs"], "inputs") or _find_malformed_files(
        record["outputs"], "outputs"
    )


def _find_malformed_files(files: dict[str, Any], side: str) -> tuple[str, str] | None:
    """The same of one side's names and hashes; a path elsewhere is an input that is `unlinked`, but never an output."""
    if not all(isinstance(value, str) and DIGEST.fullmatch(value) for value in files.values()):
        return f"sha256 digests in {side}", "something else"
    odd = [name for name in files if not is_strict_name(name)]
    if odd and (side == "outputs" or "://" in odd[0]):
        return f"{side} named as files of the tree (results://) or the project (project://)", odd[0]
    return None


def read_record(path: Path) -> Any:
    """Read the JSON of a sidecar or of another record of a tree, which anyone may have made.

    Raises:
        DataError: see `read_json`; also for a file too large to be one.
        OSError: if it cannot be read.
    """
    size = path.stat().st_size
    if size > LARGEST_RECORD:
        raise DataError(
            str(path), expected=f"at most {LARGEST_RECORD} bytes", found=str(size), fix="make the file again"
        )
    return read_json(path)


def read_sidecar(path: Path, root: Path, project: Path) -> tuple[Sidecar | None, list[Finding]]:
    """Read a sidecar and check what it says of itself.

    Args:
        path: the sidecar.
        root: the results tree that `results://` stands for.
        project: the folder that `project://` stands for.

    Returns:
        The sidecar, or None if it cannot be used, and the findings.
    """
    remake = f"remove it, then run the command that makes {path.name.removesuffix(SUFFIX)}"
    try:
        record = read_record(path)
        wrong = _find_malformed_field(record)
    except (DataError, OSError) as problem:
        expected = problem.expected if isinstance(problem, DataError) else "a file that can be read"
        found = problem.found if isinstance(problem, DataError) else str(problem)
        return None, [Finding(str(path), "sidecar", expected, found, remake)]
    if wrong is not None:
        return None, [Finding(str(path), "sidecar", *wrong, remake)]
    sides = [
        {name: resolve_name(name, root, project) for name in record[side]} for side in ("inputs", "outputs")
    ]
    sidecar = Sidecar(path, record, *sides)
    return sidecar, _check_claims(sidecar)


def _check_claims(sidecar: Sidecar) -> list[Finding]:
    """What a readable sidecar says that does not fit itself: form, seal, settings, place."""
    record, place = sidecar.record, str(sidecar.path)
    remake = f"remove it, then run the command that makes {sidecar.artifact.name}"
    seal, settings = seal_record(record)["seal"], hash_settings(record["settings"])
    findings = []
    if record["seal"] != seal:
        findings.append(Finding(place, "sidecar", f"the seal {seal}", record["seal"], sidecar.repair))
    elif sidecar.path.read_bytes() != encode_json(record).encode():
        # The seal is of the values: 1e-05 written as 1E-05 would pass.
        expected = "the very form in which a step writes its sidecar"
        findings.append(Finding(place, "sidecar", expected, "the same values, written otherwise", remake))
    if record["settings_hash"] != settings:
        expected = f"settings_hash {settings}, as its settings give"
        findings.append(Finding(place, "sidecar", expected, record["settings_hash"], sidecar.repair))
    if not any(file.is_relative_to(sidecar.artifact) for file in sidecar.outputs.values()):
        names = ", ".join(sidecar_path(file).name for file in list(sidecar.outputs.values())[:1])
        expected, found = f"an output at {sidecar.artifact}", f"a sidecar of other files ({names or 'none'})"
        findings.append(Finding(place, "sidecar", expected, found, remake))
    return findings


def hash_claims(sidecars: list[Sidecar], root: Path) -> dict[str, str]:
    """SHA-256 of what each sidecar of the tree claims of its artifact's results, by the artifact's path.

    Left out are times, machines, package versions and the code's fingerprint: results that come out the same
    have the same hash, also after a change of code that changes no result.
    """
    digests = {}
    for sidecar in sidecars:
        name = sidecar.artifact.relative_to(root).as_posix() if sidecar.path.is_relative_to(root) else None
        if name is not None and not is_rendering(name):
            kept = {field: sidecar.record[field] for field in HASHED_FIELDS}
            digests[name] = sha256_text(json.dumps(kept, sort_keys=True, ensure_ascii=False))
    return dict(sorted(digests.items()))


def hash_tree(sidecars: list[Sidecar], root: Path) -> str:
    """The root hash: SHA-256 over one line, `<digest>  <artifact>`, for each of `hash_claims`."""
    lines = [f"{digest}  {name}\n" for name, digest in hash_claims(sidecars, root).items()]
    return sha256_text("".join(lines))
