"""Pinning the embedded dataset with DVC, and pulling it at its pin; both work without a network."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import yaml

from harc.core.errors import DataError, HarcError
from harc.core.files import atomic_directory, read_json, write_json, write_text
from harc.core.listings import find_name_fault, place_listing
from harc.data.verify import DataReport, build_manifest, hash_like_dvc, read_pin, verify_data

PIN_HEADER = "# The embedded dataset's version. Made by `harc data pin`; checked by `harc data verify`.\n"


def _run_dvc(project: Path, *arguments: str) -> str | None:
    """Run DVC in the project; its last error lines, or None if all went well."""
    with _allow_no_git(project) as environment:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=project,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return None
    lines = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return " ".join(lines) or done.stderr.strip() or f"exit status {done.returncode}"


@contextmanager
def _allow_no_git(project: Path) -> Iterator[dict[str, str]]:
    """What tells DVC that a tree without `.git` (a source archive) is no mistake."""
    if (project / ".git").exists():
        yield {}
        return
    with tempfile.TemporaryDirectory() as folder:
        write_text(Path(folder) / "config", "[core]\n    no_scm = true\n")
        yield {"DVC_GLOBAL_CONFIG_DIR": folder}


def _pinned_folder(project: Path, pin_file: str) -> Path:
    """The folder that a pin fills, below the project and reached through no link of its own.

    Raises:
        DataError: if it lies elsewhere, or is a link: a pull replaces what is there.
    """
    name = read_pin(project / pin_file)["path"]
    fault = find_name_fault(name)
    if fault is None and any(
        (project / part).is_symlink() for part in (Path(name), *Path(name).parents[:-1])
    ):
        fault = "a link"
    if fault is not None:
        raise DataError(
            pin_file,
            expected="the path of a folder of this project",
            found=f"{name!r}: {fault}",
            fix=f"`git checkout {pin_file}`, and move links out of the way",
        )
    return project / name


def _check_listing(project: Path, pin_file: str, manifest_file: str) -> None:
    """Check what the pinned folder is to hold against the manifest, before DVC writes any of it.

    Raises:
        DataError: for a listing that is missing, damaged, leads out of the folder, or is not the manifest's.
    """
    listed = place_listing(project, read_pin(project / pin_file)["md5"])
    expected = read_json(project / manifest_file)["files"]
    differing = sorted(listed.keys() ^ expected.keys())
    if differing:
        raise DataError(
            manifest_file,
            expected="the files of the pinned listing",
            found=f"{differing[0]!r} in one of the two only",
            fix="`git checkout` the pin and the manifest of one commit, or run `harc data pin`",
        )


def pull_data(
    project: Path,
    *,
    pin_file: str = "data.dvc",
    manifest_file: str = "config/data_manifest.json",
    force: bool = False,
) -> DataReport:
    """Bring the pinned dataset into place with `dvc pull` and check every byte of it.

    Args:
        project: the repository's root.
        pin_file: the .dvc file, relative to the project.
        manifest_file: the committed manifest, relative to the project.
        force: take the pinned version also where files in place differ, and despite a damaged cache.

    Returns:
        The check's report, without problems.

    Raises:
        DataError: if an object of the remote is missing or damaged, files of one's own are in the way, or the
            pulled files are not those of the manifest. What was in place stays.
    """
    folder = _pinned_folder(project, pin_file)
    manifest, pin = project / manifest_file, project / pin_file
    if folder.is_dir():
        report = verify_data(folder, manifest, pin)
        if not report.problems:
            return report
    with _set_aside(folder) if force else nullcontext():
        _pull_pinned(project, pin_file, manifest_file, folder)
        report = verify_data(folder, manifest, pin)
        if force and report.problems:
            # What DVC remembers of these files is as wrong as they are.
            shutil.rmtree(project / ".dvc" / "cache", ignore_errors=True)
            shutil.rmtree(folder)
            _pull_pinned(project, pin_file, manifest_file, folder)
            report = verify_data(folder, manifest, pin)
        report.raise_first()
    return report


@contextmanager
def _set_aside(folder: Path) -> Iterator[None]:
    """Move a folder away (DVC believes files that it has seen before), and back if the block fails."""
    aside = folder.with_name(f".{folder.name}.set-aside")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    try:
        yield
    except BaseException:
        if aside.exists():
            shutil.rmtree(folder, ignore_errors=True)
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _pull_pinned(project: Path, pin_file: str, manifest_file: str, folder: Path) -> None:
    try:
        _check_listing(project, pin_file, manifest_file)
    except HarcError as problem:
        trouble: str | None = f"{problem.where}: {problem.found}"
    else:
        trouble = _run_dvc(project, "pull", "--quiet", pin_file)
    if trouble is not None:
        raise DataError(
            pin_file,
            expected=f"`dvc pull` to bring {folder.relative_to(project)} at its pinned version",
            found=trouble,
            fix="`git checkout -- dvc-remote data.dvc` restores the pinned objects; "
            "if files of yours are in the way: `harc data pull --force`",
        )


def pin_data(
    project: Path,
    folder: Path,
    *,
    pin_file: str = "data.dvc",
    manifest_file: str = "config/data_manifest.json",
    remote: str = "dvc-remote",
) -> DataReport:
    """Make the dataset in `folder` the pinned one: manifest, .dvc file and the embedded remote's objects.

    Objects of earlier versions leave the remote: it serves the committed pin; older commits have their own.

    Args:
        project: the repository's root, with `.dvc/config`.
        folder: the dataset's folder, relative to the project.
        pin_file: the .dvc file to write, relative to the project.
        manifest_file: the manifest to write, relative to the project.
        remote: the embedded remote's folder, relative to the project.

    Returns:
        The check of the new pin, without problems.

    Raises:
        DataError: if the folder is empty or DVC fails.
    """
    manifest = build_manifest(project / folder)
    if not manifest["files"]:
        raise DataError(str(folder), expected="a dataset", found="no files", fix="run `harc data build`")
    sizes = [entry["bytes"] for entry in manifest["files"].values()]
    pin = {
        "outs": [
            {
                "md5": hash_like_dvc(project / folder),
                "size": sum(sizes),
                "nfiles": len(sizes),
                "hash": "md5",
                "path": folder.as_posix(),
            }
        ]
    }
    write_text(project / pin_file, PIN_HEADER + yaml.safe_dump(pin, sort_keys=False))
    write_json(project / manifest_file, manifest)
    for step in (("commit", "--quiet", "--force", pin_file), ("push", "--quiet", pin_file)):
        if step[0] == "push":
            with atomic_directory(project / remote):
                pass
        trouble = _run_dvc(project, *step)
        if trouble is not None:
            raise DataError(
                pin_file, expected=f"`dvc {' '.join(step)}` to end well", found=trouble, fix="run it by hand"
            )
    report = verify_data(project / folder, project / manifest_file, project / pin_file)
    report.raise_first()
    return report
