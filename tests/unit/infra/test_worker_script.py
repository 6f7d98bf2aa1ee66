"""The script that stops a worker's flow runs before the worker, around processes like Prefect's."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

# As Prefect's worker: each run has a session of its own, and a worker that is stopped kills its runs.
WORKER = """
import signal, subprocess, sys, time

folder, *late = sys.argv[1:]
runs = []

def say(text):
    with open(f"{folder}/log", "a") as log:
        log.write(text + "\\n")

def start(*command):
    runs.append(subprocess.Popen(command, start_new_session=True))

def stop(*_):
    say("worker stops")
    for run in runs:
        run.kill()
    sys.exit(7)

signal.signal(signal.SIGTERM, stop)
start(sys.executable, f"{folder}/run.py", folder)
while True:
    time.sleep(0.05)
    for run in runs:
        run.poll()
    if late and "run saves" in open(f"{folder}/log").read():
        start(*late)
        late = []
"""
RUN = """
import signal, sys, time

def say(text):
    with open(f"{sys.argv[1]}/log", "a") as log:
        log.write(text + "\\n")

def save(*_):
    say("run saves")
    time.sleep(1)
    say("run has saved")
    sys.exit()

signal.signal(signal.SIGTERM, save)
say("run began")
time.sleep(600)
"""


@pytest.fixture
def script(infra: Path) -> Path:
    return infra / "docker" / "worker.sh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    (tmp_path / "run.py").write_text(RUN, encoding="utf-8")
    (tmp_path / "log").touch()
    return tmp_path


def stopped(
    script: Path, folder: Path, *late: str, by: signal.Signals = signal.SIGTERM
) -> tuple[int, list[str]]:
    """The exit code of a worker that is stopped while a run goes on, and what both said."""
    command = ["bash", str(script), sys.executable, str(folder / "worker.py"), str(folder), *late]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        while "run began" not in (folder / "log").read_text(encoding="utf-8"):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(by)
        code = process.wait(timeout=120)
    finally:
        if process.poll() is None:
            for left in psutil.Process(process.pid).children(recursive=True):
                left.kill()
            process.kill()
    return code, (folder / "log").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_run_has_its_time_and_the_worker_ends_after_it(
    script: Path, folder: Path, by: signal.Signals
) -> None:
    code, said = stopped(script, folder, by=by)
    assert said == ["run began", "run saves", "run has saved", "worker stops"]
    assert code == 7


def test_a_run_that_begins_meanwhile_is_stopped_too(script: Path, folder: Path) -> None:
    _, said = stopped(script, folder, "sleep", "600")
    assert said == ["run began", "run saves", "run has saved", "worker stops"]


@pytest.mark.parametrize("code", [0, 3])
def test_a_worker_that_ends_by_itself_says_how(script: Path, code: int) -> None:
    worker = [sys.executable, "-c", f"raise SystemExit({code})"]
    assert subprocess.run(["bash", script, *worker], timeout=120).returncode == code


def test_runs_can_be_interrupted(script: Path) -> None:
    """A shell's background processes ignore SIGINT otherwise, and hand that down."""
    ask = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        ["bash", script, sys.executable, "-c", ask], capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "True\n"
