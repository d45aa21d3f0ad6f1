"""The committed study: a finished run without what can be made again, packed under results/reference/<name>.

It is enough for tables, figures, paper and report, which are then made under results/from_reference/<name>, from the
tree that is unpacked once under results/unpacked/<name>.
"""

import hashlib
import re
from pathlib import Path

from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import atomic_directory, encode_json, read_json, write_json
from harc.core.untrusted import parse_json
from harc.steps.reference_pack import AGAIN, PACK_FILE, SIDECARS, is_packed, read_pack, unpack

REFERENCE = Path("results/reference")
UNPACKED = Path("results/unpacked")
FROM_REFERENCE = Path("results/from_reference")  # what is made from a committed study
MADE_BY = "tables.provenance.json"  # its command names the profile that the study was run with
# Records of the running, and what tuning tried; the audit's verdict stays with what it is of.
LEFT_BEHIND = ("benchmarks", "checkpoints", "logs", "tuning")


def locate_reference(name: str) -> Layout:
    """A layout that reads a committed study where `unpack_reference` puts it, and writes elsewhere.

    Raises:
        ConfigError: if there is no such study.
    """
    if not is_packed(REFERENCE / name):
        known = sorted(path.parent.name for path in REFERENCE.glob(f"*/{PACK_FILE}"))
        raise ConfigError(
            f"reference {name!r}",
            expected=f"one of {', '.join(known) or 'none: no study is committed'}",
            found="no such study",
            fix="check the spelling, or run the profile",
        )
    return Layout(FROM_REFERENCE / name, reference=UNPACKED / name)


def find_profile(name: str) -> str:
    """The profile that a committed study was run with, as its commands name it.

    Raises:
        ArtifactError: if the study is damaged, or its sidecar names no workflow step.
    """
    from harc.steps.commands import parse_command

    sidecars = dict(read_pack(REFERENCE / name, [SIDECARS]))
    return parse_command(parse_json(sidecars[MADE_BY].decode())["command"])[1]["profile"]


def stands_in(name: str, root: Path) -> bool:
    """Whether a committed study is what the paper is made from: there is one, and the profile has no run of its own.

    Args:
        name: of the profile.
        root: results tree of the profile.
    """
    begun = any((root / kind).exists() for kind in ("backbones", "directions", "generations", "scores"))
    return not begun and is_packed(REFERENCE / name)


def locate_stamp(tree: Path) -> Path:
    """The file that says which pack an unpacked study is of, beside its tree."""
    return tree.with_name(f"{tree.name}.json")


def list_packed(name: str) -> list[Path]:
    """The files of a committed study as they lie in the repository."""
    from harc.core.tree_files import walk_files

    return walk_files(REFERENCE / name)


def _describe_files(root: Path) -> str:
    """A hash of names, sizes and times: whether anything was written since, without reading it."""
    from harc.core.tree_files import walk_files

    lines = []
    for path in walk_files(root) if root.is_dir() else ():
        state = path.stat()
        lines.append(f"{path.relative_to(root).as_posix()} {state.st_size} {state.st_mtime_ns}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def unpack_reference(name: str) -> Path:
    """Unpack a committed study where `locate_reference` says, unless its tree lies there untouched; that tree.

    Raises:
        ConfigError: if there is no such study.
        ArtifactError: if it is damaged.
    """
    from harc.core.tree_files import hash_state

    tree = locate_reference(name).runs
    stamp, pack = locate_stamp(tree), hash_state(REFERENCE / name)
    if not stamp.is_file() or read_json(stamp) != {"pack": pack, "files": _describe_files(tree)}:
        stamp.unlink(missing_ok=True)
        unpack_study(REFERENCE / name, tree)
        write_json(stamp, {"pack": pack, "files": _describe_files(tree)})
    return tree


def unpack_to(name: str, tree: Path) -> Path:
    """Unpack a committed study into a new folder; the folder.

    Raises:
        ConfigError: if there is no such study, or something lies there.
        ArtifactError: if it is damaged.
    """
    locate_reference(name)
    if tree.exists() and (not tree.is_dir() or any(tree.iterdir())):
        raise ConfigError(
            "--to", expected="a new folder", found=f"{tree}, which is there", fix="name another"
        )
    unpack_study(REFERENCE / name, tree)
    return tree


def unpack_study(pack: Path, tree: Path) -> list[Path]:
    """Unpack a committed study in place of what is there; the files of the tree.

    Raises:
        ArtifactError: if it is damaged, or a file of it is not what its sidecar says.
    """
    with atomic_directory(tree, durable=False) as folder:
        names = [path.relative_to(folder) for path in unpack(pack, folder)]
        _stop_if_other(folder, {name.as_posix(): (folder / name).read_bytes() for name in names})
    return [tree / name for name in names]


def _stop_if_other(root: Path, files: dict[str, bytes]) -> list:
    """Compare the files of a tree with what its sidecars say of them; the sidecars.

    Raises:
        ArtifactError: at a sidecar that is damaged, or a file that is another.
    """
    from harc.audit.tree import read_tree

    sidecars, findings = read_tree(root)
    for finding in findings:
        raise ArtifactError(finding.file, expected=finding.expected, found=finding.found, fix=finding.repair)
    for sidecar in sidecars:
        for output, expected in sidecar.record["outputs"].items():
            name = output.removeprefix("results://")
            if name in files and hashlib.sha256(files[name]).hexdigest() != expected:
                raise ArtifactError(
                    f"{name} of the study",
                    expected=f"sha256 {expected}, as its sidecar says",
                    found="another",
                    fix=AGAIN,
                )
    return sidecars


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
    """Pack a finished, sound run into the reference folder, in place of what is there, with what it leaves out named.

    The run may be the tree of a committed study, unpacked, changed by its own steps and audited again.

    Args:
        root: results tree of the run.
        name: profile that the study stands for (organism for organism_study).
        target: folder of references.

    Returns:
        The files of the pack.

    Raises:
        ConfigError: for a name that is no plain folder's.
        ArtifactError: if the run has no audit, an audit with findings, or changed since.
    """
    from harc.audit.study import KEPT_FILE, is_kept, make_kept_record
    from harc.core.tree_files import require_tree, walk_files
    from harc.steps.reference_pack import write_pack

    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ConfigError(
            "reference", expected="a name of letters, digits and _", found=repr(name), fix="choose another"
        )
    require_tree(root)
    _stop_if_unsound(root)
    names = {path.relative_to(root).as_posix(): path for path in walk_files(root, LEFT_BEHIND)}
    files = {short: path.read_bytes() for short, path in names.items() if is_kept(f"results://{short}")}
    record = make_kept_record(_stop_if_other(root, files), root)
    with atomic_directory(target / name) as folder:
        write_pack(files | {KEPT_FILE: encode_json(record).encode()}, folder)
    return walk_files(target / name)
