"""Errors that tell a person where to look, what was expected, what was found, and what to do next."""

import errno
import os

from harc.untrusted import escape_control


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


def describe_full_disk(problem: OSError, command: str) -> EnvironmentProblem | None:
    """One line for a disk without room; None for any other trouble of the system.

    Args:
        problem: what the system said.
        command: what was under way, named where the system names no file.
    """
    if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return EnvironmentProblem(
        problem.filename or command,
        expected="room on the disk",
        found=os.strerror(problem.errno).lower(),
        fix="free some, then give the same command again: finished work is kept",
    )
