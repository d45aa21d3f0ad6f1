"""Where the chain of artifacts begins: pinned rows, fetched models, committed files."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harc.audit.report import Finding
from harc.audit.sidecars import Sidecar
from harc.audit.tensors import Problem
from harc.core.errors import DataError
from harc.data.verify import verify_data

COMMIT = re.compile(r"[0-9a-f]{40}")
PIN, MANIFEST = "data.dvc", "data_manifest.json"


def check_row_report(report: dict[str, Any], sidecar: Sidecar) -> Iterator[Problem]:
    """The report of the rows' check against the rows that its sidecar names, and against the DVC pin.

    Args:
        report: verified.json: the hashes that the check found (`files`), as text or with a size.
        sidecar: of the report, whose other outputs are the rows.
    """
    rows = {
        path.name: sidecar.record["outputs"][name]
        for name, path in sidecar.outputs.items()
        if path.name != "verified.json"
    }
    found = {
        name: entry["sha256"] if isinstance(entry, dict) else entry for name, entry in report["files"].items()
    }
    for name in sorted(rows.keys() | found.keys()):
        if name in rows and found.get(name) != rows[name]:
            yield f"{name} with sha256 {rows[name]}, as the rows have", str(found.get(name))
    inputs = {path.name: path for path in sidecar.inputs.values()}
    folder = next((path.parent for path in sidecar.outputs.values() if path.name in found), None)
    if not {PIN, MANIFEST} <= inputs.keys() or folder is None or not folder.is_dir():
        return
    try:
        problems = verify_data(folder, inputs[MANIFEST], inputs[PIN]).problems
    except DataError as unreadable:
        problems = [unreadable]
    for problem in problems:
        yield f"{problem.where} as {PIN} pins it: {problem.expected}", problem.found


def check_fetched_source(source: dict[str, Any], settings: dict[str, Any]) -> Iterator[Problem]:
    """source.json of a fetched backbone: the model asked for, at one commit or with the pinned hash."""
    kind = source.get("kind")
    if kind != settings.get("kind", kind):
        yield f"kind {settings['kind']}, as configured", str(kind)
    if kind == "hub":
        asked, revision = settings.get("revision"), str(source.get("revision"))
        if not COMMIT.fullmatch(revision):
            yield "the revision as a commit of 40 hexadecimal digits", revision
        elif asked and COMMIT.fullmatch(str(asked)) and asked != revision:
            yield f"revision {asked}, as configured", revision
        if settings.get("model_id", source.get("model_id")) != source.get("model_id"):
            yield f"model {settings['model_id']}, as configured", str(source.get("model_id"))
    if kind == "wheel":
        if settings.get("requirement", source.get("model_id")) != source.get("model_id"):
            yield f"model {settings['requirement']}, as configured", str(source.get("model_id"))
        if settings.get("sha256") and settings["sha256"] != source.get("wheel_sha256"):
            yield f"a wheel with sha256 {settings['sha256']}, as configured", str(source.get("wheel_sha256"))


def list_committed(project: Path) -> set[Path] | None:
    """Files of a folder that git tracks or would track, ignored ones left out; None where git has nothing to say."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=project,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {project / name for name in done.stdout.split("\0") if name} or None


def find_unlinked_inputs(sidecars: list[Sidecar], made: set[Path], project: Path) -> list[Finding]:
    """Inputs with which the chain ends too early: no sidecar made them, and they are no file of the project.

    Args:
        sidecars: all readable ones.
        made: every output that one of them names.
        project: the repository's root.
    """
    committed = list_committed(project)
    findings = []
    for sidecar in sidecars:
        for name, path in sidecar.inputs.items():
            if path in made:
                continue
            outside = "://" not in name
            in_tree = name.startswith("results://")
            if outside or in_tree or (committed is not None and path not in committed):
                where = "outside project and results" if outside else "of unknown origin"
                findings.append(
                    Finding(
                        str(sidecar.artifact),
                        "unlinked",
                        f"{name} to be an artifact with a sidecar, or a file of the project",
                        f"a file {where}",
                        f"run the step that makes it; then {sidecar.repair}",
                    )
                )
    return findings
