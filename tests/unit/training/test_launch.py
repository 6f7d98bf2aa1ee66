"""The parent of one node's ranks: what it passes on, and what it refuses."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import LaunchParams, Section, parse_params
from unimol2_tasks.training import launch
from unimol2_tasks.training.job import RunFolder, read_json, write_json


class Rank:
    """Remembers its signals."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def send_signal(self, number: int) -> None:
        self.signals.append(number)


def test_a_node_that_does_not_share_the_run_folder_says_so(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        launch.LAUNCH,
        str(tmp_path),
        "--ranks",
        "1",
        "--rendezvous",
        "localhost:1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == launch.NO_RUN_FOLDER
    assert f"{tmp_path}/job.json: not there on" in done.stderr
    assert "storage that all nodes and the machine of the command share" in done.stderr


def test_a_request_for_stacks_reaches_the_ranks_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, rank = RunFolder(tmp_path), Rank()
    monkeypatch.setattr(launch, "_WATCH_SECONDS", 0.01)
    monkeypatch.setattr(launch, "ranks_below", lambda pid: [rank] if pid == os.getpid() else [])
    launch.request_file(run).write_text("")
    watch = threading.Thread(target=launch._watch, args=(run,))
    watch.start()
    watch.join(0.1)
    assert rank.signals == []
    launch.request_file(run).write_text(launch.STACKS)
    watch.join(30)
    assert rank.signals == [signal.SIGUSR1]


def test_the_schedulers_sigterm_reaches_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    rank = Rank()
    monkeypatch.setattr(launch, "ranks_below", lambda _: [rank])
    launch._pass_on(signal.SIGTERM, None)
    assert rank.signals == [signal.SIGTERM]


def _failed(exits: Mapping[int, int], seconds: Mapping[int, int] | None = None) -> ChildFailedError:
    """What torchrun raises, with the second in which it saw each exit."""
    failures = {rank: ProcessFailure(rank, 100 + rank, code, "no file") for rank, code in exits.items()}
    for rank, failure in failures.items():
        failure.timestamp = (seconds or {}).get(rank, 0)
    return ChildFailedError("worker", failures)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (None, False),
        ("communication", False),
        ("error", False),
        ("stopped", True),
        ("diverged", True),
        ("user error", True),
        ("out of memory", True),
    ],
)
def test_a_signal_explains_broken_connections_but_not_what_a_rank_said_before(
    tmp_path: Path, said: str | None, kept: bool
) -> None:
    run = RunFolder(tmp_path)
    if said is not None:
        write_json(run.failure, {"reason": said, "message": "as the rank said"})
    launch._explain_signals(run, _failed({0: -signal.SIGABRT, 1: -signal.SIGTERM, 2: 1}))
    before = "" if said is None else "; before that a rank said: as the rank said"
    signalled = {"reason": "crash", "message": f"ended from outside: rank 0 by SIGABRT{before}"}
    assert read_json(run.failure) == ({"reason": said, "message": "as the rank said"} if kept else signalled)


def test_torchruns_own_sigkill_after_a_failure_is_no_signal_from_outside(tmp_path: Path) -> None:
    """Ranks catch SIGTERM, so that one that waits for a rank with an error is ended by SIGKILL."""
    run = RunFolder(tmp_path)
    said = {"reason": "error", "message": "KeyError: 'rank 0'"}
    write_json(run.failure, said)
    launch._explain_signals(run, _failed({1: -signal.SIGKILL, 0: 1}, {0: 1000, 1: 1030}))
    assert read_json(run.failure) == said


def test_a_signal_that_torchrun_saw_first_is_believed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    exits = {0: 1, 1: -signal.SIGKILL, 2: -signal.SIGKILL, 3: -signal.SIGSEGV}
    launch._explain_signals(run, _failed(exits, {0: 1000, 1: 1001, 2: 1030, 3: 1000}))
    message = "ended from outside: rank 1 by SIGKILL, rank 3 by SIGSEGV"
    assert read_json(run.failure) == {"reason": "crash", "message": message}


def test_a_node_whose_ranks_have_not_begun_just_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "ranks_below", lambda _: [])
    with pytest.raises(SystemExit) as end:
        launch._pass_on(signal.SIGTERM, None)
    assert end.value.code == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"SLURM_NODEID": "0"}, ",is_host=true"),
        ({"SLURM_NODEID": "3"}, ",is_host=false"),
        ({"JOB_COMPLETION_INDEX": "0"}, ",is_host=true"),
        ({"JOB_COMPLETION_INDEX": "1"}, ",is_host=false"),
        ({"SLURM_NODEID": "1", "JOB_COMPLETION_INDEX": "0"}, ",is_host=false"),
        ({}, ""),
    ],
)
def test_the_first_node_is_where_the_others_meet(environment: dict[str, str], told: str) -> None:
    assert launch._hosting(environment) == told


@pytest.mark.parametrize("section", ["slurm", "kubernetes"])
def test_every_key_of_a_launcher_says_what_it_means(section: str) -> None:
    inner: Any = LaunchParams.model_fields[section].annotation
    assert issubclass(inner, Section)
    assert all((field.description or "").endswith((".", ")")) for field in inner.model_fields.values())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nodes": 2}, "nodes=2 needs launcher slurm or kubernetes; local is one machine"),
        ({"time_limit": 24}, r"time_limit=24\.0 needs launcher slurm or kubernetes"),
        ({"gpus_per_node": 0}, "gpus_per_node=0 needs launcher slurm or kubernetes"),
        ({"slurm": {"partition": "gpu\n#SBATCH --uid=0"}}, r"launch\.slurm\.partition: .*match pattern"),
        ({"slurm": {"options": ["rm"]}}, r"launch\.slurm\.options\.0: .*match pattern"),
        ({"slurm": {"options": ["--exclusive\nrm"]}}, r"launch\.slurm\.options\.0: .*match pattern"),
        ({"slurm": {"partitoin": "gpu"}}, r"launch\.slurm\.partitoin: unknown key; did you mean partition\?"),
        ({"environment": {"A=1; rm": ""}}, r"launch\.environment.*match pattern"),
        ({"time_limit": 0}, r"launch\.time_limit: "),
    ],
)
def test_what_no_launcher_can_do_is_refused_by_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_params({"launch": values})
