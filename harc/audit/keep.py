"""Keeping a finished run as the committed study: only what an audit has found sound, without what can be made again."""

import re
from pathlib import Path

from harc.audit.study import KEPT_FILE, WITHOUT_WEIGHTS, is_kept, make_kept_record
from harc.audit.tree import read_tree
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import atomic_directory, encode_json, read_json
from harc.core.tree_files import hash_state, require_tree, walk_files
from harc.steps.reference import REFERENCE, check_hashes
from harc.steps.reference_pack import write_pack

# Records of the running, and what tuning tried; the audit's verdict stays with what it is of.
LEFT_BEHIND = ("benchmarks", "checkpoints", "logs", "tuning")


def _stop_if_unsound(root: Path) -> None:
    """Refuse a run without an audit that found it sound, as it is now.

    Raises:
        ArtifactError: if there is none, it has findings, or the tree changed since.
    """
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


def update_reference(
    root: Path, name: str, target: Path = REFERENCE, form: str = WITHOUT_WEIGHTS
) -> list[Path]:
    """Pack a finished, sound run into the reference folder, in place of what is there, with what it leaves out named.

    The run may be the tree of a committed study, unpacked, changed by its own steps and audited again.

    Args:
        root: results tree of the run.
        name: profile that the study stands for (organism for organism_study).
        target: folder of references.
        form: what is left out; see `harc.audit.study`.

    Returns:
        The files of the pack.

    Raises:
        ConfigError: for a name that is no plain folder's.
        ArtifactError: if the run has no audit, an audit with findings, or changed since.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ConfigError(
            "reference", expected="a name of letters, digits and _", found=repr(name), fix="choose another"
        )
    require_tree(root)
    _stop_if_unsound(root)
    names = {path.relative_to(root).as_posix(): path for path in walk_files(root, LEFT_BEHIND)}
    files = {short: path.read_bytes() for short, path in names.items() if is_kept(f"results://{short}", form)}
    sidecars, findings = read_tree(root)
    for finding in findings:
        raise ArtifactError(finding.file, expected=finding.expected, found=finding.found, fix=finding.repair)
    check_hashes(files)
    record = make_kept_record(sidecars, root, form)
    with atomic_directory(target / name) as folder:
        write_pack(files | {KEPT_FILE: encode_json(record).encode()}, folder)
    return walk_files(target / name)
