"""Pushing a results tree to a DVC remote and pulling it back, through a repository that lasts as long as that."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from harc.audit import audit_results
from harc.audit.cache_pin import (
    Pin,
    check_pulled,
    install_records,
    list_pulled_files,
    read_pin,
    read_records,
    stop_if_running,
    write_pin,
)
from harc.core.errors import ArtifactError, ConfigError, EnvironmentProblem
from harc.core.files import read_jsonl, write_jsonl
from harc.core.listings import check_names
from harc.core.provenance import read_git_commit
from harc.core.tree_files import UNTRACKED, walk_files
from harc.core.yaml_text import parse_yaml
from harc.settings.profile import Profile
from harc.steps.checks import refuse_rehearsal

TREE, RECORDS = "tree", "records.jsonl"


def _run_dvc(folder: Path, *arguments: str) -> None:
    """Run DVC in a folder.

    Raises:
        EnvironmentProblem: with DVC's own error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = [
            line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")
        ]
        raise EnvironmentProblem(
            "dvc " + " ".join(arguments[:1]),
            expected="the remote to take or give what was asked",
            found=" ".join(lines) or done.stderr.strip()[-500:] or f"exit status {done.returncode}",
            fix="check the remote's address, its options (--option) and your credentials",
        )


@contextmanager
def _scratch(beside: Path, remote: str, options: Mapping[str, str]) -> Iterator[Path]:
    """A DVC repository on the disk of the results, with the remote as its only one."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    if "://" not in remote:
        remote = os.fspath(Path(remote).absolute())
    with TemporaryDirectory(prefix=".cache.", dir=beside.parent) as name:
        folder = Path(name).absolute()
        _make_repository(folder, remote, options)
        yield folder


def _make_repository(folder: Path, remote: str, options: Mapping[str, str]) -> None:
    """Make a DVC repository without git, whose default remote is the given one.

    Raises:
        ConfigError: for an option that DVC does not know.
    """
    from dvc.config import ConfigError as DvcConfigError
    from dvc.config import merge
    from dvc.repo import Repo

    try:
        with (
            redirect_stdout(io.StringIO()),
            Repo.init(os.fspath(folder), no_scm=True) as repo,
            repo.config.edit() as config,
        ):
            # Without `verify` DVC trusts what a remote calls an object, whatever is in it. Links, which a user's own
            # settings may ask for, would lead into this folder, which does not last.
            given = {
                "core": {"analytics": "false", "remote": "store"},
                "cache": {"type": "reflink,copy"},
                "remote": {"store": {"url": remote, "verify": "true", **options}},
            }
            merge(config, given)
    except DvcConfigError as problem:
        raise ConfigError(
            "--remote, --option",
            expected="an address and options that DVC knows",
            found=str(problem),
            fix="see `dvc remote modify --help`",
        ) from None


def _link_tree(root: Path, target: Path) -> None:
    """The artifacts of a tree, without the records of the running, as hard links to the same bytes where possible.

    Raises:
        ArtifactError: for a symbolic link in the tree, which would be another file elsewhere, or none.
        DataError: for a name that a pull would refuse.
    """
    files = walk_files(root, UNTRACKED)
    check_names([path.relative_to(root).as_posix() for path in files], str(root))
    for path in files:
        place = target / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            shutil.copyfile(path, place)


def _add_to_remote(folder: Path, source: Path, name: str) -> dict[str, Any]:
    """Send a file or folder to the remote; DVC's entry for it."""
    _run_dvc(folder, "add", "--to-remote", "--out", name, os.fspath(source))
    entry = parse_yaml((folder / f"{name}.dvc").read_text(encoding="utf-8"))["outs"][0]
    return {key: entry[key] for key in ("md5", "size", "nfiles", "hash") if key in entry}


@contextmanager
def _tidy_remote(remote: str) -> Iterator[None]:
    """Remove the temporary files that DVC (3.67) leaves in a folder as remote, a second copy of every object."""
    objects = Path(remote) / "files" / "md5"
    before = set(objects.glob(".*.tmp"))
    yield
    for path in set(objects.glob(".*.tmp")) - before:
        path.unlink()


def _list_folders(profile: Profile) -> list[Path]:
    """Folders whose files the workflow keeps records of."""
    return [profile.results_root, profile.data_dir]


def push_results(profile: Profile, remote: str, pin_file: Path, options: Mapping[str, str]) -> Pin:
    """Send results/<profile> and the workflow's records of it to a remote, and write the pin.

    A tree need not be complete; what is there must be sound.

    Args:
        profile: whose results.
        remote: address of a DVC remote: a folder, s3://bucket/path, ...
        pin_file: file to write.
        options: of the remote, such as endpointurl.

    Raises:
        ArtifactError: if the tree has findings, which would only travel.
        EnvironmentProblem: if the remote does not take it.
    """
    refuse_rehearsal(profile)
    root = profile.results_root
    report = audit_results(root, recompute=False, partial_tree=True)
    if report.findings or not report.counts["sidecars"]:
        raise ArtifactError(
            str(root),
            expected="a sound results tree",
            found=str(report.findings[0]) if report.findings else "no artifacts",
            fix=f"run `harc audit --profile {profile.source}`, mend what it finds, and push again",
        )
    with _scratch(root, remote, options) as folder:
        _link_tree(root, folder / "staged" / TREE)
        untracked = [root / name for name in UNTRACKED]
        rows = read_records(_list_folders(profile), left_out=untracked)
        write_jsonl(folder / "staged" / RECORDS, rows)
        with _tidy_remote(remote):
            tree = _add_to_remote(folder, folder / "staged" / TREE, TREE)
            records = _add_to_remote(folder, folder / "staged" / RECORDS, RECORDS)
    pin = Pin(profile.name, report.root_hash, read_git_commit(), tree, records)
    write_pin(pin, pin_file)
    return pin


def pull_results(
    profile: Profile, remote: str, pin_file: Path, options: Mapping[str, str], *, force: bool = False
) -> tuple[Pin, int]:
    """Bring pushed results into results/<profile>, whole or not at all, and the workflow's records of them.

    Args:
        profile: whose results.
        remote: address of the DVC remote.
        pin_file: what `push_results` wrote.
        options: of the remote.
        force: replace a tree that is there.

    Returns:
        The pin, and how many records the workflow got.

    Raises:
        ArtifactError: if a tree is there already, or what came is not what was pinned.
        DataError: for a damaged pin.
        EnvironmentProblem: if the remote does not give it.
    """
    pin, root = read_pin(pin_file), profile.results_root
    _stop_if_in_the_way(pin, profile, pin_file, force=force)
    stop_if_running()
    with _scratch(root, remote, options) as folder:
        names = list_pulled_files(folder, pin)
        for name, entry in ((TREE, pin.tree), (RECORDS, pin.records)):
            text = yaml.safe_dump({"outs": [{**entry, "path": name}]})
            (folder / f"{name}.dvc").write_text(text, encoding="utf-8")
        _run_dvc(folder, "pull", f"{TREE}.dvc", f"{RECORDS}.dvc")
        check_pulled(folder / TREE, names, pin)
        with _swap_in(folder / TREE, root, folder / "before"):
            number = install_records(read_jsonl(folder / RECORDS), _list_folders(profile))
    return pin, number


def _stop_if_in_the_way(pin: Pin, profile: Profile, pin_file: Path, *, force: bool) -> None:
    if pin.profile != profile.name:
        raise ArtifactError(
            str(pin_file),
            expected=f"results of profile {profile.name}",
            found=f"those of {pin.profile}",
            fix=f"name the profile with `--profile {pin.profile}`, or another pin",
        )
    if profile.results_root.is_symlink():
        raise ArtifactError(
            str(profile.results_root),
            expected="a folder, or none yet",
            found="a link, which the pulled folder would replace",
            fix="remove the link; link results/ itself to keep results elsewhere",
        )
    if profile.results_root.exists() and not force:
        raise ArtifactError(
            str(profile.results_root),
            expected="no tree yet",
            found="one",
            fix="move it away, or replace it with `harc cache pull --force`",
        )


@contextmanager
def _swap_in(pulled: Path, root: Path, aside: Path) -> Iterator[None]:
    """Put a pulled folder in place of `root`, and what was there back if the block fails."""
    if root.exists():
        os.replace(root, aside)
    os.replace(pulled, root)
    try:
        yield
    except BaseException:
        os.replace(root, pulled)
        if aside.exists():
            os.replace(aside, root)
        raise
