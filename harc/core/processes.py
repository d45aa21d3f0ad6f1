"""Processes that are to end with the one that started them, whatever ends that."""

import ctypes
import signal
import sys

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def die_with_parent(by: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel end this process when the one that started it ends; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, by)
