"""Real processes: children that die with their parent, and trees that end whole."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from unimol2_tasks.process_tree import descendants, signal_all

CHILD = """
import os, signal, sys
from unimol2_tasks.process_tree import die_with_parent
die_with_parent(int(sys.argv[1]))
print(os.getpid(), flush=True)
signal.pause()
"""
# As torchrun does, the child gets a session of its own, which no signal to the parent's group reaches.
PARENT = """
import os, signal, subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())], start_new_session=True)
signal.pause()
"""


@contextmanager
def _family() -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A parent with one child that has asked to die with it."""
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        try:
            yield parent, child
        finally:
            parent.kill()
            signal_all([child], signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_child_ends_when_its_parent_is_killed() -> None:
    with _family() as (parent, child):
        parent.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs([child], timeout=10)
        assert not alive


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_child_whose_parent_ended_while_it_started_ends_too() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    orphan = subprocess.run([sys.executable, "-c", CHILD, str(gone.pid)], timeout=30, check=False)
    assert orphan.returncode == -signal.SIGKILL


def test_descendants_reach_across_sessions() -> None:
    with _family() as (parent, child):
        assert os.getsid(child.pid) != os.getsid(parent.pid)
        assert descendants(parent.pid) == [child]
        assert child in descendants(os.getpid())


def test_processes_that_have_ended_have_no_descendants_and_take_no_signal() -> None:
    with _family() as (parent, child):
        pass
    psutil.wait_procs([child], timeout=10)
    signal_all([child], signal.SIGTERM)
    assert descendants(parent.pid) == []
