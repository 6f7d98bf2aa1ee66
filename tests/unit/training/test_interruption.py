"""Trainings that threads supervise, when the thread that waits for them is interrupted."""

import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.training.scripted_launches import ScriptedLaunch, ScriptedLauncher, fails, finish, step
from unimol2_tasks.errors import TrainingFailed
from unimol2_tasks.params import Params
from unimol2_tasks.training import supervisor
from unimol2_tasks.training.interruption import interrupted, interruptible_threads
from unimol2_tasks.training.job import Job, RunFolder
from unimol2_tasks.training.supervisor import supervise

Submit = Callable[[ThreadPoolExecutor, ScriptedLaunch], "Future[None]"]


@pytest.fixture
def submit(tiny_params: Params, monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Supervise a launch in a thread, in the context of whoever submits, as Prefect's thread pool does."""
    launchers: dict[Path, ScriptedLauncher] = {}
    monkeypatch.setattr(supervisor, "launcher_for", lambda job: launchers[job.dataset])
    params = tiny_params.model_copy(
        update={"supervision": tiny_params.supervision.model_copy(update={"grace_seconds": 0.2})}
    )

    def supervised(pool: ThreadPoolExecutor, launch: ScriptedLaunch) -> "Future[None]":
        job = Job(kind="finetune", dataset=launch.run.path, params=params)
        launchers[job.dataset] = ScriptedLauncher([launch] * 3)
        return pool.submit(contextvars.copy_context().run, supervise, job, launch.run, 2)

    return supervised


def endless(folder: Path) -> ScriptedLaunch:
    """A launch that goes on until it is ended."""
    return ScriptedLaunch(step(3), RunFolder(folder), hangs=True)


def await_step(launch: ScriptedLaunch) -> None:
    while not launch.run.heartbeat.exists():
        time.sleep(0.01)


def test_all_that_run_save_and_end_and_what_waits_does_not_begin(submit: Submit, tmp_path: Path) -> None:
    launches = [endless(tmp_path / name) for name in ("first", "second", "waiting")]
    with ThreadPoolExecutor(2) as pool, suppress(KeyboardInterrupt), interruptible_threads():
        futures = [submit(pool, launch) for launch in launches]
        for launch in launches[:2]:
            await_step(launch)
        raise KeyboardInterrupt
    assert [launch.calls for launch in launches] == [["request_stop", "end"]] * 2 + [[]]
    for future in futures:
        error = future.exception()
        assert isinstance(error, TrainingFailed)
        assert error.reason == "stopped"
    assert launches[2].looks == 0


def test_ranks_that_break_off_because_they_were_stopped_are_not_started_again(
    submit: Submit, tmp_path: Path
) -> None:
    class Torn(ScriptedLaunch):
        def request_stop(self) -> None:
            super().request_stop()
            fails("communication")(self.run)

    launch = Torn(step(3), RunFolder(tmp_path / "run"), hangs=True)
    with ThreadPoolExecutor(1) as pool, suppress(KeyboardInterrupt), interruptible_threads():
        future = submit(pool, launch)
        await_step(launch)
        raise KeyboardInterrupt
    assert launch.calls == ["request_stop", "end"]
    with pytest.raises(TrainingFailed, match=r"\(stopped\): it was communication"):
        future.result()


def test_an_ordinary_error_lets_the_others_come_to_their_end(submit: Submit, tmp_path: Path) -> None:
    launch = ScriptedLaunch(finish, RunFolder(tmp_path / "run"))
    with ThreadPoolExecutor(1) as pool, suppress(ValueError), interruptible_threads():
        future = submit(pool, launch)
        raise ValueError("a member failed")
    assert future.result() is None
    assert launch.run.result.is_dir()


def test_other_flows_of_the_process_go_on(submit: Submit, tmp_path: Path) -> None:
    with suppress(KeyboardInterrupt), interruptible_threads():
        raise KeyboardInterrupt
    assert not interrupted()
    launch = ScriptedLaunch(finish, RunFolder(tmp_path / "run"))
    with ThreadPoolExecutor(1) as pool:
        assert submit(pool, launch).result() is None
