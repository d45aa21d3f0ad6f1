"""Errors that tell a person where to look, what was expected, what was found, and what to do next."""

import errno
import os

from harc.core.untrusted import escape_control


class HarcError(Exception):
    """A problem with a known place and a known next step, shown as one line without control characters.

    Attributes:
        where: file (with line), setting or artifact at fault.
        expected: what would have been right.
        found: what is there.
        fix: the next step, as a command where there is one.
    """

    def __init__(self, where: str, *, expected: str, found: str, fix: str) -> None:
        self.where, self.expected, self.found, self.fix = (
            escape_control(" ".join(str(part).split())) for part in (where, expected, found, fix)
        )
        super().__init__(f"{self.where}: expected {self.expected}; found {self.found}; {self.fix}")

    def __reduce__(self):
        """Rebuild with keyword arguments, so that the error survives a process pool."""
        return (_rebuild, (type(self), self.where, self.expected, self.found, self.fix))


def _rebuild(kind: type[HarcError], where: str, expected: str, found: str, fix: str) -> HarcError:
    return kind(where, expected=expected, found=found, fix=fix)


class ConfigError(HarcError):
    """A setting that is unknown, misspelt, out of range or in conflict with another."""


class DataError(HarcError):
    """A data file that is missing, damaged, or not in its declared form."""


class ModelError(HarcError):
    """A model, tokenizer, template or adapter that cannot be used as asked."""


class ArtifactError(HarcError):
    """A result file that is missing, stale, damaged, or not what its provenance says."""


class EnvironmentProblem(HarcError):
    """Something that the machine lacks: a GPU, memory, disk, the network, a token, a program."""


_ROOM = ("room on the disk", "free some, then give the same command again: finished work is kept")
_PERMISSION = ("permission to use it", "change its permissions, or name another place")
_LIMIT = ("fewer open files", "raise the limit (`ulimit -n`)")
_TROUBLES = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: ("a file system that can be written", "name another place"),
    errno.ENOENT: ("a file or folder", "check the path"),
    errno.EISDIR: ("a file", "check the path"),
    errno.ENOTDIR: ("a folder", "check the path"),
    errno.EEXIST: ("a free name", "name another place, or remove what is there"),
    errno.ENOTEMPTY: ("an empty folder", "name another place, or remove what is there"),
    errno.ENAMETOOLONG: ("a name that the file system takes", "shorten it"),
    errno.ELOOP: ("a path without circular links", "mend the links"),
    errno.EMFILE: _LIMIT,
    errno.ENFILE: _LIMIT,
    errno.ENOMEM: ("enough memory", "free some, or choose smaller batches"),
    errno.EIO: ("a device that can be read and written", "check the device"),
}
"""What was expected and what to do next, by what the system says."""


def describe_system_problem(problem: OSError, command: str) -> EnvironmentProblem:
    """One line for a trouble of the system, or of a library that reports its own as one.

    Args:
        problem: what the system said.
        command: what was under way, named where the system names no file.
    """
    expected, fix = _TROUBLES.get(
        problem.errno or 0, ("no trouble", "mend that, then give the same command again")
    )
    names = (
        [problem.filename, problem.filename2]
        if isinstance(problem.filename, str | bytes | os.PathLike)
        else []
    )
    place = " -> ".join(os.fsdecode(name) for name in names if name)
    found = os.strerror(problem.errno).lower() if problem.errno in _TROUBLES else str(problem)[:300]
    return EnvironmentProblem(
        place or command, expected=expected, found=found or type(problem).__name__, fix=fix
    )
