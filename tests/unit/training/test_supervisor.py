"""What the supervisor makes of launches, whoever launches them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.scripted_launches import ScriptedLaunch, ScriptedLauncher, fails, finish, step
from unimol2_tasks import progress
from unimol2_tasks.errors import TrainingDiverged, TrainingFailed, UserError
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.training import supervisor
from unimol2_tasks.training.job import Job, RunFolder, write_json
from unimol2_tasks.training.launchers.launcher import Ending, Phase
from unimol2_tasks.training.supervisor import supervise


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def go(
    run: RunFolder, tiny_params: Params, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ScriptedLauncher]:
    def supervise_all(
        *launches: ScriptedLaunch, left_alive: ScriptedLaunch | None = None, **values: Any
    ) -> ScriptedLauncher:
        launcher = ScriptedLauncher(list(launches), left_alive)
        monkeypatch.setattr(supervisor, "launcher_for", lambda _: launcher)
        monkeypatch.setattr(supervisor, "_START_SECONDS", 0.5)
        content = tiny_params.model_dump()
        content["supervision"] |= {"max_restarts": 2, "grace_seconds": 0.2, "hang_seconds": 0.5} | values
        job = Job(kind="pretrain", dataset=run.path, params=parse_params(content))
        try:
            supervise(job, run, ranks=2)
        finally:
            assert all(launch.calls[-1] == "end" for launch in launcher.started), "none is left behind"
        return launcher

    return supervise_all


@pytest.mark.parametrize("reason", ["crash", "communication"])
def test_what_may_pass_is_repeated_until_it_is_too_often(run: RunFolder, go: Any, reason: str) -> None:
    launches = [ScriptedLaunch(fails(reason), run) for _ in range(3)]
    with pytest.raises(TrainingFailed, match=rf"\({reason}\): it was {reason}") as error:
        go(*launches)
    assert error.value.reason == reason
    assert all(launch.calls == ["end"] for launch in launches)


@pytest.mark.parametrize("reason", ["out of memory", "stopped", "error"])
def test_what_would_happen_again_is_not_repeated(run: RunFolder, go: Any, reason: str) -> None:
    with pytest.raises(TrainingFailed) as error:
        go(ScriptedLaunch(fails(reason), run))
    assert error.value.reason == reason


def test_a_user_error_of_the_worker_is_the_commands(run: RunFolder, go: Any) -> None:
    with pytest.raises(UserError, match="it was user error"):
        go(ScriptedLaunch(fails("user error"), run, Ending("out of memory", "an ending")))
    assert not run.path.exists(), "nobody goes on with a refused job"


def test_divergence_can_be_told_from_other_refusals(run: RunFolder, go: Any) -> None:
    with pytest.raises(TrainingDiverged, match="it was diverged"):
        go(ScriptedLaunch(fails("diverged"), run))


def test_the_schedulers_reason_explains_what_the_ranks_saw(run: RunFolder, go: Any) -> None:
    told = Ending("out of memory", "Slurm job 7 ended as OUT_OF_MEMORY")
    with pytest.raises(TrainingFailed, match=r"it was crash \(Slurm job 7 ended as OUT_OF_MEMORY\)") as error:
        go(ScriptedLaunch(fails("crash"), run, told))
    assert error.value.reason == "out of memory"


@pytest.mark.parametrize("reason", ["time limit", "preempted", "node failure"])
def test_a_run_that_gets_on_meets_any_number_of_time_limits(run: RunFolder, go: Any, reason: str) -> None:
    limits = [ScriptedLaunch(step(number), run, Ending(reason)) for number in range(1, 7)]
    assert len(go(*limits, ScriptedLaunch(finish, run)).started) == 7


def test_a_time_limit_too_short_for_a_step_ends_the_run(run: RunFolder, go: Any) -> None:
    launches = [ScriptedLaunch(step(number), run, Ending("time limit")) for number in (4, 4, 3, 4)]
    with pytest.raises(TrainingFailed) as error:
        go(*launches)
    assert error.value.reason == "time limit"
    assert all(launch.calls for launch in launches)


def test_a_launch_left_alive_is_followed_and_its_job_is_not_rewritten(run: RunFolder, go: Any) -> None:
    alive = ScriptedLaunch(finish, run)
    assert go(left_alive=alive).started == []
    assert not run.job.exists()
    assert alive.calls == ["end"]


def test_a_hang_is_shown_and_ended_without_asking(run: RunFolder, go: Any) -> None:
    hanging = ScriptedLaunch(step(3), run, hangs=True)
    started = go(hanging, ScriptedLaunch(finish, run)).started
    assert hanging.calls == ["dump_stacks", "end"]
    assert len(started) == 2


def test_a_long_measuring_that_tells_of_itself_is_no_hang(run: RunFolder, go: Any) -> None:
    class Measuring(ScriptedLaunch):
        begun = time.monotonic()

        def phase(self) -> Phase:
            done = int(10 * (time.monotonic() - self.begun))
            beat = {"step": 9, "steps": 9, "detail": f"measuring {done} of 15"}
            write_json(self.run.heartbeat, beat)
            if done >= 15 and not self.run.result.exists():
                finish(self.run)
            return "running" if done < 15 else "ended"

    measured = Measuring(finish, run)
    assert go(measured).started == [measured]
    assert measured.calls == ["end"]


def test_nothing_hangs_in_a_queue(run: RunFolder, go: Any) -> None:
    class Queued(ScriptedLaunch):
        begun = time.monotonic()

        def phase(self) -> Phase:
            return "waiting" if time.monotonic() - self.begun < 1.5 else ScriptedLaunch.phase(self)

    reports: list[progress.Progress] = []
    with progress.listen(reports.append):
        go(Queued(finish, run))
    assert [report.detail for report in reports] == ["scripted launch is waiting for its nodes"]


def test_a_launch_that_is_interrupted_is_asked_to_stop_and_given_its_grace(run: RunFolder, go: Any) -> None:
    def interrupt(_: RunFolder) -> None:
        raise KeyboardInterrupt

    interrupted = ScriptedLaunch(interrupt, run, hangs=True)
    with pytest.raises(KeyboardInterrupt):
        go(interrupted)
    assert interrupted.calls == ["request_stop", "end"]


def test_an_interrupted_submission_is_cancelled(
    run: RunFolder, tiny_params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = ScriptedLauncher([], interrupted=True)
    monkeypatch.setattr(supervisor, "launcher_for", lambda _: launcher)
    with pytest.raises(KeyboardInterrupt):
        supervise(Job(kind="pretrain", dataset=run.path, params=tiny_params), run, ranks=2)
    assert launcher.cancelled


def test_what_only_a_person_can_change_is_told_by_the_launcher_too(run: RunFolder, go: Any) -> None:
    with pytest.raises(UserError, match="a node does not see the folder"):
        go(ScriptedLaunch(lambda _: None, run, Ending("user error", "a node does not see the folder")))
