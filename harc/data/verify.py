"""Checking the embedded dataset's bytes against the committed manifest and the DVC pin.

DVC trusts the bytes in its cache, so a flipped one there would pass it; it does not pass this check.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.files import read_json, sha256_file
from harc.core.yaml_text import parse_yaml

FORMAT = 1
PIN_FIELDS = {"md5", "size", "nfiles", "hash", "path"}
UNFIT = (AttributeError, KeyError, TypeError)
"""What reading a value of another form raises."""
REPAIR = "run `harc data pull --force`, or `harc data pin` if the change is meant"


@dataclass(frozen=True)
class DataReport:
    """What a check of a data folder found.

    Attributes:
        folder: the folder checked.
        files: SHA-256 by relative path, as found.
        problems: one error per file at fault, in the order of paths.
    """

    folder: Path
    files: dict[str, str]
    problems: list[DataError]

    def raise_first(self) -> None:
        """Raise the first problem, if there is any, with the number of the others."""
        if not self.problems:
            return
        first, others = self.problems[0], len(self.problems) - 1
        more = f" (and {others} more: `harc data verify` lists them)" if others else ""
        raise DataError(first.where, expected=first.expected, found=first.found, fix=first.fix + more)

    def as_json(self) -> dict[str, Any]:
        """The report as plain values, for a results file; it names no absolute path and no time."""
        return {
            "folder": self.folder.as_posix(),
            "files": self.files,
            "problems": [str(problem) for problem in self.problems],
            "ok": not self.problems,
        }


def list_data_files(folder: Path) -> list[str]:
    """Relative paths of every file below a folder, sorted; hidden ones included, so that none hides."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def build_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a data folder: size and SHA-256 of every file."""
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_file(folder / name)}
        for name in list_data_files(folder)
    }
    return {"format": FORMAT, "files": files}


def _find_problems(folder: Path, expected: dict[str, dict], found: dict[str, str]) -> list[DataError]:
    problems = []
    for name in sorted(expected.keys() | found.keys()):
        where = str(folder / name)
        if name not in found:
            problems.append(DataError(where, expected="a file of the dataset", found="none", fix=REPAIR))
        elif name not in expected:
            problems.append(
                DataError(where, expected="no such file in the dataset", found="one", fix="remove it")
            )
        elif found[name] != expected[name]["sha256"]:
            size = (folder / name).stat().st_size
            problems.append(
                DataError(
                    where,
                    expected=f"{expected[name]['bytes']} bytes with sha256 {expected[name]['sha256']}",
                    found=f"{size} bytes with sha256 {found[name]}",
                    fix=REPAIR,
                )
            )
    return problems


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def hash_like_dvc(folder: Path) -> str:
    """The `<md5>.dir` under which DVC 3 knows a folder: MD5 of the JSON list of its files' MD5s, by path."""
    names = sorted(list_data_files(folder), key=lambda name: tuple(name.split("/")))
    entries = [{"md5": _md5((folder / name).read_bytes()), "relpath": name} for name in names]
    return f"{_md5(json.dumps(entries, sort_keys=True).encode())}.dir"


def read_pin(pin_file: Path) -> dict[str, Any]:
    """The single output that a .dvc file pins: `md5`, `size`, `nfiles`, `path`.

    Raises:
        DataError: if the file is missing or pins something else than one folder.
    """
    try:
        pin = parse_yaml(pin_file.read_text(encoding="utf-8"))
        outs = pin["outs"]
        # Anything else (deps, wdir, remote, cloud, files) has DVC read or write what is not in the listing.
        surplus = [
            str(key)
            for fields in (pin.keys() - {"outs"}, *(out.keys() - PIN_FIELDS for out in outs))
            for key in fields
        ]
        if len(outs) == 1 and str(outs[0]["md5"]).endswith(".dir") and not surplus:
            return outs[0]
        found = f"the field {surplus[0]}" if surplus else f"{len(outs)} outputs, or one that is no folder"
    except FileNotFoundError:
        found = "no file"
    except (ValueError, *UNFIT) as problem:
        found = f"no readable pin ({type(problem).__name__})"
    raise DataError(
        str(pin_file), expected="a DVC pin of one folder", found=found, fix=f"`git checkout {pin_file.name}`"
    )


def verify_data(folder: Path, manifest_file: Path, pin_file: Path | None = None) -> DataReport:
    """Check every file of a data folder against the committed manifest, and the whole against the DVC pin.

    Args:
        folder: the data folder.
        manifest_file: the committed manifest, which is what is trusted.
        pin_file: the .dvc file; None leaves DVC out.

    Returns:
        The report; a missing, changed or surplus file is a problem in it, not an exception.

    Raises:
        DataError: if the manifest or the pin itself cannot be read.
    """
    manifest = read_json(manifest_file)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or "files" not in manifest:
        raise DataError(
            str(manifest_file),
            expected=f"a data manifest of format {FORMAT}",
            found="something else",
            fix=f"`git checkout {manifest_file}`",
        )
    found = {name: sha256_file(folder / name) for name in list_data_files(folder)}
    problems = _find_problems(folder, manifest["files"], found)
    if pin_file is not None and not problems:
        pinned, actual = read_pin(pin_file)["md5"], hash_like_dvc(folder)
        if pinned != actual:
            problems.append(
                DataError(
                    str(pin_file),
                    expected=f"the pin of the manifest's files, {actual}",
                    found=str(pinned),
                    fix="`git checkout` the pin and the manifest of one commit, or run `harc data pin`",
                )
            )
    return DataReport(folder, found, problems)
