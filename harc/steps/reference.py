"""The committed study: a finished run without what can be made again, packed under results/reference/<name>.

It is enough for tables, figures, paper and report, which are then made under results/from_reference/<name>, from the
tree that is unpacked once under results/unpacked/<name>.
"""

import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

from harc.core.artifacts import SIDECAR_SUFFIX, Layout
from harc.core.errors import ArtifactError, ConfigError, HarcError
from harc.core.files import atomic_directory, read_json, write_bytes, write_json
from harc.core.untrusted import parse_json
from harc.settings.profile import Profile, load_profile
from harc.steps.reference_pack import (
    AGAIN,
    PACK_FILE,
    SIDECARS,
    UNFINISHED,
    is_packed,
    is_whole,
    read_pack,
    unpack,
)

REFERENCE = Path("results/reference")
UNPACKED = Path("results/unpacked")
FROM_REFERENCE = Path("results/from_reference")  # what is made from a committed study
MADE_BY = "tables.provenance.json"  # its command names the profile that the study was run with


def locate_reference(name: str) -> Layout:
    """A layout that reads a committed study where `unpack_reference` puts it, and writes elsewhere.

    Raises:
        ConfigError: if there is no such study.
    """
    if not is_whole(REFERENCE / name):
        packs = (path.parent for path in REFERENCE.glob(f"*/{PACK_FILE}"))
        known = sorted(path.name for path in packs if is_whole(path))
        raise ConfigError(
            f"reference {name!r}",
            expected=f"one of {', '.join(known) or 'none: no study is committed'}",
            found="a part of one" if is_packed(REFERENCE / name) else "no such study",
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
    return not begun and is_whole(REFERENCE / name)


def is_published(profile: Profile) -> bool:
    """Whether all models of a profile are published ones."""
    return all(backbone.kind != "organism" for backbone in profile.backbones.values())


def find_real_study(profile: Profile) -> tuple[Profile, Layout] | None:
    """The committed study of published models that a profile's paper shows first; None where it is not there."""
    name = profile.real_study
    if name is None or not is_whole(REFERENCE / name):
        return None
    return load_profile(find_profile(name)), locate_reference(name)


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
        check_hashes({name.as_posix(): (folder / name).read_bytes() for name in names})
    return [tree / name for name in names]


def check_hashes(files: dict[str, bytes]) -> None:
    """Compare the files of a study with what the sidecars among them say.

    Args:
        files: contents by path in the tree.

    Raises:
        ArtifactError: at a sidecar that is damaged, or a file that is another.
    """
    for sidecar in sorted(name for name in files if name.endswith(SIDECAR_SUFFIX)):
        try:
            outputs = dict(parse_json(files[sidecar].decode())["outputs"])
        except (HarcError, ValueError, TypeError, KeyError):
            raise ArtifactError(
                f"{sidecar} of the study", expected="a sidecar", found="no record with outputs", fix=AGAIN
            ) from None
        for output, expected in outputs.items():
            name = output.removeprefix("results://")
            if name in files and hashlib.sha256(files[name]).hexdigest() != expected:
                raise ArtifactError(
                    f"{name} of the study",
                    expected=f"sha256 {expected}, as its sidecar says",
                    found="another",
                    fix=AGAIN,
                )


def list_local_files(files: Mapping[str, bytes]) -> dict[str, list[str]]:
    """What steps left that stay on their machine (`Step.local`): by sidecar, the files of the pack that it is of.

    Args:
        files: of a pack, whose sidecars are sound.
    """
    from harc.steps.commands import parse_command
    from harc.steps.registry import STEPS

    found = {}
    for sidecar in (name for name in files if name.endswith(SIDECAR_SUFFIX)):
        record = parse_json(files[sidecar].decode())
        if STEPS[parse_command(record["command"])[0]].local:
            outputs = (output.removeprefix("results://") for output in record["outputs"])
            found[sidecar] = [sidecar, *(name for name in outputs if name in files)]
    return found


def require_progress(name: str) -> None:
    """Refuse a name under which nothing unfinished is kept: a misspelt one would restore nothing, as if that were all.

    Raises:
        ConfigError: naming those that there are.
    """
    kept = {path.parent.name for path in REFERENCE.glob(f"*/{UNFINISHED}")}
    if name not in kept:
        raise ConfigError(
            f"reference {name!r}",
            expected=f"one of {', '.join(sorted(kept)) or 'none: no unfinished study is kept'}",
            found="no such study",
            fix="name one that `harc reference keep` wrote",
        )


def restore_progress(name: str, root: Path) -> list[Path]:
    """Bring what is finished of a study, as `harc.audit.keep.keep_progress` packed it, back into its results tree.

    What lies in the tree already stays as it is, and what local steps left is made anew. All files get one date, so
    that none looks newer than what was made of it.

    Args:
        name: of the pack.
        root: results tree of the profile.

    Returns:
        The files written; none where there is no such pack, or it is of a finished study.

    Raises:
        ArtifactError: if the pack is damaged.
    """
    pack = REFERENCE / name
    if not is_packed(pack) or is_whole(pack):
        return []
    files = dict(read_pack(pack))
    files.pop(UNFINISHED)
    check_hashes(files)
    for names in list_local_files(files).values():
        for short in names:
            del files[short]
    missing = {root / short: content for short, content in files.items() if not (root / short).exists()}
    now = time.time()
    for path, content in sorted(missing.items(), key=lambda item: item[0].name.endswith(SIDECAR_SUFFIX)):
        write_bytes(path, content)
        os.utime(path, (now, now))
    return list(missing)
