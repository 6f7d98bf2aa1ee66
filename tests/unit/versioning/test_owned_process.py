import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from unimol2_tasks.versioning.owned_process import end_marked, run_owned

# Children in the same group and in a session of their own, and one that left the tree altogether.
BREEDER = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
leave = "import subprocess as s, sys; print(s.Popen(sys.argv[1:], stdout=-3, start_new_session=True).pid)"
lost = subprocess.run([sys.executable, "-c", leave, *sleep], stdout=-1, text=True).stdout.strip()
print("pids", lost, *[child.pid for child in children], flush=True)
if "stay" in sys.argv:
    time.sleep(600)
"""


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pids(lines: list[str]) -> list[int]:
    return [int(word) for line in lines if line.startswith("pids") for word in line.split()[1:]]


def run(tmp_path: Path, lines: list[str], code: str, *arguments: str) -> int:
    return run_owned([sys.executable, "-c", code, *arguments], tmp_path, os.environ, lines.append)


def test_lines_come_as_they_are_written_and_in_whole(tmp_path: Path) -> None:
    lines: list[str] = []
    code = "import sys; print('first'); print('ä' * 3, file=sys.stderr); print('no end', end=''); sys.exit(3)"
    assert run(tmp_path, lines, code) == 3
    assert sorted(lines) == ["first", "no end", "äää"]


def test_a_flood_of_lines_comes_as_few_messages(tmp_path: Path) -> None:
    messages: list[str] = []
    run(tmp_path, messages, "print('\\n'.join(str(n) for n in range(5000)))")
    assert "\n".join(messages).splitlines() == [str(number) for number in range(5000)]
    assert len(messages) < 1000


def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path) -> None:
    lines: list[str] = []
    assert run(tmp_path, lines, BREEDER) == 0
    assert len(pids(lines)) == 3
    assert not any(lives(pid) for pid in pids(lines))


def test_an_interrupted_command_leaves_nothing_running(tmp_path: Path) -> None:
    lines: list[str] = []

    def interrupt(line: str) -> None:
        lines.append(line)
        if line.startswith("pids"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_owned([sys.executable, "-c", BREEDER, "stay"], tmp_path, os.environ, interrupt)
    assert len(pids(lines)) == 3
    assert not any(lives(pid) for pid in pids(lines))


def test_what_a_killed_process_had_started_is_found_by_its_mark(tmp_path: Path) -> None:
    mark = str(tmp_path / "clone")
    other = psutil.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    code = (
        "import os, sys; from pathlib import Path\n"
        "from unimol2_tasks.versioning.owned_process import run_owned\n"
        f"run_owned([sys.executable, '-c', {BREEDER!r}, 'stay'], Path('.'), os.environ, "
        f"lambda line: print(line, flush=True), {mark + '/inner'!r})"
    )
    owner = psutil.Popen([sys.executable, "-c", code], stdout=-1, text=True, cwd=tmp_path)
    assert owner.stdout is not None
    started = pids([owner.stdout.readline()])
    owner.kill()
    owner.wait()
    assert all(lives(pid) for pid in started)
    end_marked(mark)
    deadline = time.monotonic() + 30
    while any(lives(pid) for pid in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(lives(pid) for pid in started)
    assert lives(other.pid)
    other.kill()
    other.wait()
