"""A command as a process of its own: followed line by line, and ended with everything that it started."""

import codecs
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import psutil

from unimol2_tasks.process_tree import descendants, signal_all

Say = Callable[[str], None]

_GRACE_SECONDS = 21.0
"""Prefect kills a cancelled flow 30 s after asking; a training stage needs 20 of them for its checkpoint."""
_CLOSING_SECONDS = 2.0
"""Until the command itself has noticed that what it ran has ended, and released its locks."""
_POLL_SECONDS = 0.1
_LINES_AT_ONCE = 20
"""More new lines than these are said as one message: a stage may print faster than a server takes logs."""
_MARK = "UNIMOL2_OWNED_BY"
"""Variable that every process of a command inherits. One that left the tree (a daemon) still has it."""


def run_owned(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], say: Say, mark: str | None = None
) -> int:
    """Run a command until it ends; nothing that it started is left, however this call ends.

    Its output goes through a file: a daemon that keeps a pipe open could not be waited for.

    Args:
        command: Program and arguments; no shell.
        folder: Where it runs.
        environment: Its environment.
        say: Told every line of its output.
        mark: By which `end_marked` finds what is left where this process was killed; none: one of its own.

    Returns:
        Its exit code; negative: the signal that ended it.
    """
    mark = mark or uuid4().hex
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, _MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        lines = _Lines(output)
        try:
            while process.poll() is None:
                _say(lines.new(), say)
                time.sleep(_POLL_SECONDS)
        finally:
            _end(process, mark)
        _say([*lines.new(), *lines.rest()], say)
    return process.returncode


def end_marked(mark: str) -> None:
    """End what a process that was killed had started, first asking, then by force.

    Args:
        mark: As given to `run_owned`; a path also stands for those below it.
    """
    left = _marked(mark)
    signal_all(left, signal.SIGTERM)
    _wait_for(left, _GRACE_SECONDS)
    signal_all(_marked(mark), signal.SIGKILL)


class _Lines:
    """The lines of a file that another process is writing to."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial = ""

    def new(self) -> list[str]:
        """Those that were finished since the last call."""
        # The writer shares the file's position: reading must not move it.
        data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size - self._position, self._position)
        self._position += len(data)
        *lines, self._partial = (self._partial + self._decoder.decode(data)).split("\n")
        return [line.rstrip() for line in lines]

    def rest(self) -> list[str]:
        """What stands after the last end of a line."""
        return [self._partial] if self._partial else []


def _say(lines: Sequence[str], say: Say) -> None:
    for line in lines[:_LINES_AT_ONCE]:
        say(line)
    if len(lines) > _LINES_AT_ONCE:
        say("\n".join(lines[_LINES_AT_ONCE:]))


def _end(process: subprocess.Popen[bytes], mark: str) -> None:
    """Stop what the command runs first, since DVC does not pass SIGTERM on, then it, then what is left."""
    running = _owned(process.pid, mark)
    signal_all(running, signal.SIGTERM)
    if process.poll() is None and not running:
        process.terminate()
    _wait_for(running, _GRACE_SECONDS)
    try:
        process.wait(_CLOSING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # Among them what was started meanwhile.
    left = _owned(process.pid, mark)
    signal_all(left, signal.SIGKILL)
    _wait_for(left, _CLOSING_SECONDS)


def _owned(pid: int, mark: str) -> list[psutil.Process]:
    """Every process that a command has started: those below it, and those with its mark."""
    tree = descendants(pid)
    return [*tree, *(found for found in _marked(mark) if found.pid != pid and found not in tree)]


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.environ().get(_MARK, "")).is_relative_to(mark):
                found.append(process)
        except (psutil.Error, OSError):
            # It ended meanwhile, or belongs to somebody else.
            continue
    return found


def _wait_for(processes: Sequence[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(_lives(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _lives(process: psutil.Process) -> bool:
    try:
        # An orphan in a container whose first process reaps nobody stays a zombie for ever.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
