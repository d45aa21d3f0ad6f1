"""The bubblewrap command line: what the code inside can see, and whether this machine can make such a sandbox.

Inside there is the interpreter with its standard library, the system's libraries, a private /tmp, and nothing else: no
network, no other process, no file of this account; all but /tmp is read-only.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from harc.settings.judges import SandboxSettings

SYSTEM_FOLDERS = ("/usr", "/bin", "/lib", "/lib64", "/sbin")
NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
ROOT_OPTIONS = ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
MB = 1 << 20


def find_interpreter() -> tuple[Path, Path]:
    """(executable, folder that holds it and its library) of the Python that this environment is made from."""
    executable = Path(os.path.realpath(sys.executable))
    return executable, Path(os.path.realpath(sys.base_prefix))


def make_command(settings: SandboxSettings) -> list[str]:
    """The words before the program that is to run inside."""
    _, prefix = find_interpreter()
    words = [
        shutil.which("bwrap") or "bwrap",
        "--die-with-parent",
        "--new-session",
        *NAMESPACES,
        "--clearenv",
    ]
    # Root needs no user namespace, and without one the guest can take another account, which limits of processes need:
    # the kernel does not count root's.
    words += list(ROOT_OPTIONS) if is_root() else ["--unshare-user"]
    scratch = ["--size", str(settings.scratch_mb * MB)] if has_size_option() else []
    words += ["--dev", "/dev", "--remount-ro", "/dev", "--perms", "1777", *scratch, "--tmpfs", "/tmp"]
    for folder in SYSTEM_FOLDERS:
        if os.path.islink(folder):
            words += ["--symlink", os.readlink(folder), folder]
        elif os.path.isdir(folder):
            words += ["--ro-bind", folder, folder]
    if not prefix.is_relative_to("/usr"):
        for parent in reversed(prefix.parents[:-1]):  # which the account inside must be able to pass
            words += ["--perms", "0755", "--dir", str(parent)]
        words += ["--ro-bind", str(prefix), str(prefix)]
    words += [
        "--remount-ro",
        "/",
        "--chdir",
        "/tmp",
        "--setenv",
        "PATH",
        "/usr/bin:/bin",
        "--setenv",
        "HOME",
        "/tmp",
    ]
    return words


def is_root() -> bool:
    """Whether this process may do everything."""
    return os.geteuid() == 0


@cache
def has_size_option() -> bool:
    """Whether this bubblewrap can limit a tmpfs (0.7 on); without it files are limited one by one."""
    found = subprocess.run(["bwrap", "--help"], capture_output=True, text=True, check=False)
    return "--size" in found.stdout + found.stderr


@cache
def find_obstacle() -> str | None:
    """Why no sandbox can be made here; None if one can."""
    if sys.platform != "linux":
        return f"the system is {sys.platform}"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    executable, _ = find_interpreter()
    words = [*make_command(SandboxSettings()), str(executable), "-I", "-S", "-c", "import json, resource"]
    tried = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False, timeout=60)
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"]
    return f"bubblewrap cannot start ({said[-1]})"
