"""Keeping a run as the committed study: a finished one if an audit found it sound, one under way as far as it is."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from harc.audit.study import WITHOUT_WEIGHTS, choose_form, is_kept, make_kept_record
from harc.audit.tree import read_tree
from harc.core.artifacts import KEPT_FILE, MACHINES_FILE, SIDECAR_SUFFIX, Layout, is_rendering
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import atomic_directory, encode_json, read_json, write_json
from harc.core.terminal import show
from harc.core.tree_files import hash_state, require_tree, walk_files
from harc.core.untrusted import parse_json
from harc.settings.profile import Profile
from harc.steps.checks import refuse_rehearsal
from harc.steps.files import find_sidecar, list_expected_sidecars, list_made
from harc.steps.progress import is_finished
from harc.steps.reference import REFERENCE, check_hashes, list_local_files
from harc.steps.reference_pack import UNFINISHED, is_packed, is_whole, read_pack, write_pack
from harc.steps.registry import list_jobs

# Records of the running, and what tuning tried; the audit's verdict stays with what it is of.
LEFT_BEHIND = ("checkpoints", "logs", "tuning")
LARGEST_ADAPTER = 3e6  # bytes of a warm start's, above which packing says so


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


def check_name(name: str) -> None:
    """Refuse a name that is no plain folder's: what lies there is replaced.

    Raises:
        ConfigError: naming it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise ConfigError(
            "reference", expected="a name of letters, digits and _", found=repr(name), fix="choose another"
        )


def _read_kept(root: Path, names: Iterable[str], form: str) -> dict[str, bytes]:
    """Content of those files of a tree that a form keeps, by path in it."""
    return {name: (root / name).read_bytes() for name in names if is_kept(f"results://{name}", form)}


def keep_progress(profile: Profile, name: str, target: Path = REFERENCE) -> tuple[int, int]:
    """Pack the finished jobs of a study that is under way, in place of an earlier pack of it.

    A study of days outlives the machine that it runs on this way: `harc.steps.reference.restore_progress` brings the
    jobs back, and the workflow goes on with the others. Renderings wait for the end, and nothing is read from a pack of
    this kind but by that.

    Args:
        profile: of the study.
        name: of the pack.
        target: folder of references.

    Returns:
        How many jobs are packed, and how many the study has.

    Raises:
        ConfigError: for a name that is no plain folder's, and if a finished study lies there.
        ArtifactError: if a file is not what its sidecar says.
    """
    check_name(name)
    refuse_rehearsal(profile)
    root, form = profile.results_root, choose_form(public=profile.data.source == "public")
    if is_whole(target / name):
        raise ConfigError(
            str(target / name),
            expected="no finished study",
            found="one",
            fix="choose another name, or remove it",
        )
    parts = ("tuning", "run")
    jobs = [job for part in parts for job in list_jobs(profile, Layout(root), part)]
    finished = [
        job for job in jobs if is_finished(job) and not is_rendering(_shorten(find_sidecar(job), root))
    ]
    files: dict[str, bytes] = {}
    for job in finished:
        made = (path for path in list_made(job) if path.is_file() and path.is_relative_to(root))
        files |= _read_kept(root, (_shorten(path, root) for path in made), form)
    files = _keep_first(files, target / name)
    if (root / MACHINES_FILE).is_file():
        files[MACHINES_FILE] = (root / MACHINES_FILE).read_bytes()
    check_hashes(files)
    _warn_of_size(files)
    record = {"form": form, "finished": len(finished), "jobs": len(jobs)}
    with atomic_directory(target / name) as folder:
        write_pack(files | {UNFINISHED: encode_json(record).encode()}, folder)
    return len(finished), len(jobs)


def _keep_first(files: dict[str, bytes], pack: Path) -> dict[str, bytes]:
    """Files with those of local steps as the study's first machine left them, by whose answers others are measured.

    Args:
        files: of this machine's tree.
        pack: an earlier one, if there is any.
    """
    earlier = dict(read_pack(pack)) if is_packed(pack) else {}
    own = list_local_files(files)
    for sidecar, names in list_local_files(earlier).items():
        versions = (parse_json(found[sidecar].decode()) for found in (earlier, files) if sidecar in found)
        made_by = {(record["code"], record["settings_hash"]) for record in versions}
        if sidecar in own and len(made_by) == 1:
            files = {name: content for name, content in files.items() if name not in own[sidecar]}
            files |= {name: earlier[name] for name in names}
    return files


def _warn_of_size(files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        if name.startswith("warm_starts/") and len(content) > LARGEST_ADAPTER:
            show(
                f"{name}: {len(content) / 1e6:.1f} MB, more than {LARGEST_ADAPTER / 1e6:g} for a repository to keep; "
                "lower warm_start.training.lora.rank of its backbone",
                err=True,
            )


def record_kept(profile: Profile) -> bool:
    """Write what the tree of a study may lack that was made on several machines, where it lacks anything.

    Weights and answers stay on the machine that made them, so the tree of the last one is in its committed form.

    Args:
        profile: of the study, whose jobs are finished but for what is made from all of them.

    Returns:
        Whether the tree lacks anything.
    """
    layout = Layout(profile.results_root)
    sidecars, _ = read_tree(layout.root)
    if all(path.is_file() for sidecar in sidecars for path in sidecar.outputs.values()):
        return False
    expected = list_expected_sidecars(profile, layout)
    wanted = [_shorten(path, layout.root) for path in expected if path.is_relative_to(layout.root)]
    form = choose_form(public=profile.data.source == "public")
    artifacts = (name.removesuffix(SIDECAR_SUFFIX) for name in wanted)
    write_json(layout.root / KEPT_FILE, make_kept_record(sidecars, layout.root, form, artifacts))
    return True


def _shorten(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


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
    check_name(name)
    require_tree(root)
    _stop_if_unsound(root)
    files = _read_kept(root, [_shorten(path, root) for path in walk_files(root, LEFT_BEHIND)], form)
    sidecars, findings = read_tree(root)
    for finding in findings:
        raise ArtifactError(finding.file, expected=finding.expected, found=finding.found, fix=finding.repair)
    check_hashes(files)
    record = make_kept_record(sidecars, root, form)
    with atomic_directory(target / name) as folder:
        write_pack(files | {KEPT_FILE: encode_json(record).encode()}, folder)
    return walk_files(target / name)
