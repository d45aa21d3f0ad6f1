"""The committed study: a finished run without its weights, kept under results/reference/<name>.

It is enough for tables, figures, paper and report, which are then made under results/from_reference/<name>.
"""

import re
import shutil
from pathlib import Path

from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import atomic_directory, read_json, write_json

REFERENCE = Path("results/reference")
FROM_REFERENCE = Path("results/from_reference")  # what is made from a committed study
MADE_BY = "tables.provenance.json"  # its command names the profile that the study was run with
# Records of the running, and what tuning tried; the audit's verdict stays with what it is of.
LEFT_BEHIND = ("benchmarks", "checkpoints", "logs", "tuning")


def locate_reference(name: str) -> Layout:
    """A layout that reads a committed study and writes beside it.

    Raises:
        ConfigError: if there is no such study.
    """
    if not (REFERENCE / name / MADE_BY).is_file():
        known = sorted(path.parent.name for path in REFERENCE.glob(f"*/{MADE_BY}"))
        raise ConfigError(
            f"reference {name!r}",
            expected=f"one of {', '.join(known) or 'none: no study is committed'}",
            found="no such study",
            fix="check the spelling, or run the profile",
        )
    return Layout(FROM_REFERENCE / name, reference=REFERENCE / name)


def find_profile(layout: Layout) -> str:
    """The profile that a committed study was run with, as its commands name it.

    Raises:
        ArtifactError: if the study's sidecar names no workflow step.
    """
    from harc.steps.pipeline import parse_command

    return parse_command(read_json(layout.reference / MADE_BY)["command"])[1]["profile"]


def stands_in(name: str, root: Path) -> bool:
    """Whether a committed study is what the paper is made from: there is one, and the profile has no run of its own.

    Args:
        name: of the profile.
        root: results tree of the profile.
    """
    begun = any((root / kind).exists() for kind in ("backbones", "directions", "generations", "scores"))
    return not begun and (REFERENCE / name / MADE_BY).is_file()


def _stop_if_unsound(root: Path) -> None:
    """Refuse a run without an audit that found it sound, as it is now.

    Raises:
        ArtifactError: if there is none, it has findings, or the tree changed since.
    """
    from harc.core.tree_files import hash_state

    audit = root / "audit/audit.json"
    verdict = read_json(audit) if audit.is_file() else None
    found = None
    if not isinstance(verdict, dict):
        found = "none"
    elif verdict.get("ok") is not True or verdict.get("findings") != []:
        found = "findings"
    elif verdict.get("state") != hash_state(root):
        found = "one of another state: the tree changed since"
    if found is not None:
        raise ArtifactError(
            str(audit),
            expected="the audit of a finished, sound run",
            found=found,
            fix="run the workflow to its end first",
        )


def update_reference(root: Path, name: str, target: Path = REFERENCE) -> list[Path]:
    """Copy a finished, sound run to the reference folder, in place of what is there, and write what it leaves out.

    Args:
        root: results tree of the run.
        name: profile that the study stands for (organism for organism_study).
        target: folder of references.

    Returns:
        The files kept.

    Raises:
        ConfigError: for a name that is no plain folder's.
        ArtifactError: if the run has no audit, an audit with findings, or changed since.
    """
    from harc.audit.study import KEPT_FILE, is_kept, make_kept_record
    from harc.audit.tree import read_tree
    from harc.core.tree_files import require_tree, walk_files

    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ConfigError(
            "reference", expected="a name of letters, digits and _", found=repr(name), fix="choose another"
        )
    require_tree(root)
    _stop_if_unsound(root)
    names = {path: path.relative_to(root).as_posix() for path in walk_files(root, LEFT_BEHIND)}
    kept = [path for path, short in names.items() if is_kept(f"results://{short}")]
    with atomic_directory(target / name) as folder:
        for path in kept:
            place = folder / names[path]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
        sidecars, findings = read_tree(folder)
        for finding in findings:
            raise ArtifactError(
                finding.file, expected=finding.expected, found=finding.found, fix=finding.repair
            )
        write_json(folder / KEPT_FILE, make_kept_record(sidecars, folder))
    return [target / name / names[path] for path in kept] + [target / name / KEPT_FILE]
