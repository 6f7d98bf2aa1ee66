import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / ".work" / "dataset-1"), Store())


def test_a_file_is_there_once_it_is_whole(workspace: Workspace) -> None:
    with workspace.new("units/one") as path:
        path.write_text("half")
        assert workspace.finished() == set()
    assert workspace.finished() == {"units/one"}
    assert workspace.path("units/one").read_text() == "half"


def test_a_failure_leaves_nothing(workspace: Workspace) -> None:
    def fail() -> None:
        with workspace.new("one") as path:
            path.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert workspace.finished() == set()


def test_a_file_that_a_killed_process_was_writing_does_not_count(workspace: Workspace) -> None:
    script = (
        "import os, sys; from unimol2_tasks.artifacts.store import Store\n"
        "from unimol2_tasks.artifacts.workspace import Workspace\n"
        "with Workspace(sys.argv[1], Store()).new('units/one') as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, workspace.uri], check=False).returncode == -9
    assert list(Path(workspace.uri).rglob("one"))
    assert workspace.finished() == set()


def test_removal_takes_everything_but_what_belongs_to_others(workspace: Workspace) -> None:
    parent = Path(workspace.uri).parent
    other = Workspace(str(parent / "dataset-2"), Store())
    for each in (workspace, other):
        with each.new("one") as path:
            path.touch()
    workspace.remove()
    assert [path.name for path in parent.iterdir()] == ["dataset-2"]
    other.remove()
    assert not parent.exists()


def test_one_at_a_time(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        waiting.set()
        with Workspace(workspace.uri, Store()).alone():
            order.append("second")

    with caplog.at_level(logging.WARNING), workspace.alone():
        thread = threading.Thread(target=second)
        thread.start()
        waiting.wait()
        while "waiting for it" not in caplog.text:
            pass
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
