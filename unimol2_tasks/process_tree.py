"""Owning a tree of processes: children that die with their parent, and trees that end whole."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterable

import psutil

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that happens.

    torchrun puts every rank into a session of its own, so signals to a process group miss them
    (prctl(2); Linux only, elsewhere it does nothing).

    Args:
        parent: The parent's process id, as the parent told it: one that ended while this process was
            starting could not be asked any more.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the call took effect; nobody would tell us then.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def descendants(pid: int) -> list[psutil.Process]:
    """All living processes below `pid`, the nearest first."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def signal_all(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to those that still live."""
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
