"""The Slurm launcher against a Slurm of one machine, whose steps run whatever a test wants."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from slurm_cluster import SlurmCluster

from unimol2_tasks.errors import ParameterError, UserError
from unimol2_tasks.params import LaunchParams
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launch import NO_RUN_FOLDER
from unimol2_tasks.training.launchers.local import LocalLauncher
from unimol2_tasks.training.launchers.record import LaunchRecord
from unimol2_tasks.training.launchers.slurm import SlurmLaunch, SlurmLauncher
from unimol2_tasks.training.launchers.slurm_script import batch_script

HOSTILE = 'it\'s $(touch pwned) `touch pwned`; "touch" \\ \n touch pwned'


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = tmp_path / "run $HOME 100%"
    folder.mkdir()
    return RunFolder(folder)


def params(**values: Any) -> LaunchParams:
    return LaunchParams.model_validate({"launcher": "slurm", "nodes": 2, "poll_seconds": 0.05, **values})


def launcher(**values: Any) -> SlurmLauncher:
    return SlurmLauncher(params(**values), grace=5.0)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ended(launch: SlurmLaunch) -> Callable[[], bool]:
    return lambda: launch.phase() == "ended"


def script(run: RunFolder, **values: Any) -> str:
    return batch_script(run, "name", 4, params(**values), {"PLAIN": "1", "HOSTILE": HOSTILE}, 80)


def test_the_script_is_one_that_bash_and_shellcheck_accept(run: RunFolder) -> None:
    slurm = {"setup": ["module load cuda"], "options": ["--exclusive"], "cpus": 8, "constraint": "a100&ib"}
    text = script(run, slurm=slurm, time_limit=1.5)
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    if (shellcheck := shutil.which("shellcheck")) is not None:
        done = subprocess.run([shellcheck, "-"], input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout


def test_slurm_reads_from_the_script_what_was_asked_for(cluster: SlurmCluster, run: RunFolder) -> None:
    cluster.set(step="true")
    slurm = {
        "partition": "gpu", "account": "chem", "qos": "long", "constraint": "a100&ib", "memory": "200G",
        "cpus": 16, "options": ["--exclusive", "--mail-user=a@b.c", "--output=elsewhere"],
    }  # fmt: skip
    launch = launcher(slurm=slurm, time_limit=1.501).start(run, 8, {})
    options = cluster.jobs[0].options
    assert options.pop("job-name") == launch.record.name
    assert options == {
        "partition": "gpu", "account": "chem", "qos": "long", "constraint": "a100&ib", "mem": "200G",
        "cpus-per-task": "16", "gpus-per-node": "4", "nodes": "2", "ntasks-per-node": "1", "time": "91",
        "signal": "TERM@65", "output": str(run.log).replace("%", "%%"), "open-mode": "append",
        "no-requeue": "", "exclusive": "", "mail-user": "a@b.c",
    }  # fmt: skip
    until(ended(launch))


def test_values_reach_the_ranks_as_they_are_and_are_never_run(
    cluster: SlurmCluster, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path)
    monkeypatch.setenv("DVC_EXP_NAME", "outer")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("INHERITED", "yes")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    cluster.set(step="true")
    launch = launcher(gpus_per_node=0, slurm={"setup": ["export LOADED=1"]}).start(
        run, 4, {"HOSTILE": HOSTILE}
    )
    until(ended(launch))
    environment = json.loads(cluster.jobs[0].known("environment") or "")
    assert environment["HOSTILE"] == HOSTILE
    assert environment["LOADED"] == environment["INHERITED"].replace("yes", "1")
    # The cores of the nodes are shared out there; the metrics are not those of a DVC stage around.
    assert not {"DVC_EXP_NAME", "OMP_NUM_THREADS"} & environment.keys()
    assert "SBATCH_TIMELIMIT" not in environment, "it would replace the script's"
    assert not {"AWS_SECRET_ACCESS_KEY", "PREFECT_API_KEY"} & environment.keys()
    words = json.loads(cluster.jobs[0].known("srun") or "")
    assert words[words.index("-m") + 1 :] == [
        "unimol2_tasks.training.launch", str(run.path), "--ranks", "2", "--nodes", "2",
        "--rendezvous", "localhost:21001", "--id", "1001",
    ]  # fmt: skip
    assert list(run.path.parent.rglob("pwned")) == []
    assert "gpus-per-node" not in cluster.jobs[0].options


def test_ranks_that_do_not_fit_the_nodes_are_refused(cluster: SlurmCluster, run: RunFolder) -> None:
    with pytest.raises(ParameterError, match=r"ranks=3 is not a multiple of launch\.nodes=2"):
        launcher().start(run, 3, {})
    with pytest.raises(ParameterError, match=r"4 ranks per node share launch\.gpus_per_node=2 GPUs"):
        launcher(gpus_per_node=2).start(run, 8, {})
    assert cluster.jobs == []
    assert LaunchRecord.read(run) is None


def test_a_path_that_a_script_cannot_hold_is_refused(cluster: SlurmCluster, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"quotes or backslashes; choose another --out"):
        launcher().start(RunFolder(tmp_path / "it's"), 2, {})
    assert cluster.jobs == []


def test_a_supervisor_that_starts_again_follows_the_job_that_is_there(
    cluster: SlurmCluster, run: RunFolder
) -> None:
    cluster.set(step="sleep 60")
    assert launcher().attach(run) is None
    first = launcher().start(run, 2, {})
    again = launcher().attach(run)
    assert again is not None
    assert again.name == first.name == "Slurm job 1001"
    until(lambda: again.phase() == "running")
    assert len(cluster.jobs) == 1
    with pytest.raises(
        UserError, match=r"slurm job 1001 of this run may still be alive; go on with launch\.launcher"
    ):
        LocalLauncher(distributed=True).attach(run)
    again.end()
    assert LaunchRecord.read(run) is None
    assert launcher().attach(run) is None


def test_a_job_whose_number_was_never_written_down_is_found_by_its_name(
    cluster: SlurmCluster, run: RunFolder
) -> None:
    cluster.set(step="sleep 60")
    submitted = launcher().start(run, 2, {})
    LaunchRecord("slurm", submitted.record.name).write(run)
    found = launcher().attach(run)
    assert found is not None
    assert found.record == submitted.record
    LaunchRecord("slurm", "never-submitted").write(run)
    assert launcher().attach(run) is None


def test_a_job_that_accounting_does_not_know_yet_is_not_submitted_again(
    cluster: SlurmCluster, run: RunFolder
) -> None:
    cluster.set(step="sleep 60", sacct_lags=True)
    submitted = launcher().start(run, 2, {})
    LaunchRecord("slurm", submitted.record.name).write(run)
    found = launcher().attach(run)
    assert found is not None
    assert found.name == "Slurm job 1001"
    assert found.phase() == "waiting"


def test_an_interrupted_submission_leaves_no_job(cluster: SlurmCluster, run: RunFolder) -> None:
    cluster.set(step="sleep 60")
    submitted = launcher().start(run, 2, {})
    LaunchRecord("slurm", submitted.record.name).write(run)
    launcher().cancel(run)
    until(ended(submitted))
    assert submitted.ending().reason == "stopped"
    assert LaunchRecord.read(run) is not None, "the next start makes sure"
    assert launcher().attach(run) is None
    assert LaunchRecord.read(run) is None


def test_an_interrupted_start_cancels_the_job_that_it_knows(cluster: SlurmCluster, run: RunFolder) -> None:
    cluster.set(step="sleep 60")
    launcher().cancel(run)
    launcher().start(run, 2, {})
    launcher().cancel(run)
    assert cluster.jobs[0].known("ended") == "CANCELLED by 1000"
    assert LaunchRecord.read(run) is None


def test_a_job_that_was_being_cancelled_is_not_followed(cluster: SlurmCluster, run: RunFolder) -> None:
    cluster.set(step="trap '' TERM; sleep 60")
    launch = launcher().start(run, 2, {})
    until(lambda: launch.phase() == "running")
    launch.request_stop()
    assert launcher().attach(run) is None
    assert cluster.jobs[0].processes() == []
    assert LaunchRecord.read(run) is None


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("COMPLETED", None),
        ("FAILED", None),
        ("TIMEOUT", "time limit"),
        ("DEADLINE", "time limit"),
        ("OUT_OF_MEMORY", "out of memory"),
        ("NODE_FAIL", "node failure"),
        ("BOOT_FAIL", "node failure"),
        ("PREEMPTED", "preempted"),
        ("CANCELLED by 1000", "stopped"),
    ],
)
def test_the_state_of_an_ended_job_is_its_reason(
    cluster: SlurmCluster, run: RunFolder, state: str, reason: str | None
) -> None:
    cluster.set(step="true", state=state)
    launch = launcher().start(run, 2, {})
    until(ended(launch))
    assert launch.ending().reason == reason
    assert launch.ending().account == f"Slurm job 1001 ended as {state.split()[0]}, exit code 0:0"


def test_a_job_that_stops_at_slurms_notice_has_had_its_time(cluster: SlurmCluster, run: RunFolder) -> None:
    cluster.set(step="sleep 60", notice_at_step=0)
    launch = launcher(time_limit=1.0).start(run, 2, {})
    until(ended(launch))
    assert launch.ending().reason == "time limit"
    assert "ended as FAILED" in launch.ending().account


def test_a_node_that_does_not_see_the_run_folder_is_the_users_error(
    cluster: SlurmCluster, run: RunFolder
) -> None:
    cluster.set(step=f"exit {NO_RUN_FOLDER}")
    launch = launcher().start(run, 2, {})
    until(ended(launch))
    assert launch.ending().reason == "user error"
    assert f"a node does not see {run.path}" in launch.ending().account


def test_a_job_that_failed_without_a_log_points_at_the_storage(cluster: SlurmCluster, run: RunFolder) -> None:
    cluster.set(step="false")
    launch = launcher().start(run, 2, {})
    until(ended(launch))
    run.log.unlink()
    assert launch.ending().reason == "error"
    assert "on storage that its nodes share" in launch.ending().account


def test_what_sacct_cannot_say_is_asked_again_and_not_believed(
    cluster: SlurmCluster, run: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.set(step="sleep 0.2", sacct_failures=5)
    launch = launcher().start(run, 2, {})
    assert launch.phase() == "waiting"
    until(ended(launch))
    assert launch.ending().reason is None
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "Connection refused; asked again every 0.05 s" in warnings[0]


def test_a_job_is_asked_to_stop_and_what_does_not_is_killed(cluster: SlurmCluster, run: RunFolder) -> None:
    cluster.set(step="trap 'echo > \"$ASKED\"' TERM; while true; do sleep 0.1; done")
    launch = launcher().start(run, 2, {"ASKED": str(run.path / "asked")})
    until(lambda: launch.phase() == "running" and len(cluster.jobs[0].steps()) > 2)
    launch.request_stop()
    until(lambda: (run.path / "asked").exists())
    launch.end()
    assert launch.phase() == "ended"
    # Killed processes are gone once an init has reaped them.
    until(lambda: cluster.jobs[0].processes() == [])


def test_a_job_that_slurm_refuses_is_told_with_its_reason_and_forgotten(
    cluster: SlurmCluster, run: RunFolder
) -> None:
    cluster.set(sbatch_error="Invalid partition name specified")
    with pytest.raises(UserError, match=r"sbatch refused .*slurm\.sh: .*Invalid partition name"):
        launcher().start(run, 2, {})
    assert LaunchRecord.read(run) is None


@pytest.mark.parametrize(
    "message",
    [
        "Socket timed out on send/recv operation",
        "Unable to contact slurm controller (connect failure)",
        "Zero Bytes were transmitted or received",
        "Connection reset by peer",
        "Transport endpoint is not connected",
    ],
)
def test_a_job_that_slurm_may_have_taken_is_not_forgotten(
    cluster: SlurmCluster, run: RunFolder, message: str
) -> None:
    cluster.set(sbatch_error=message)
    with pytest.raises(UserError, match=r"start again to see whether the job is there"):
        launcher().start(run, 2, {})
    assert LaunchRecord.read(run) is not None


def test_a_machine_without_slurm_is_named(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match=r"sbatch: no such command; start this where jobs can be submitted"):
        launcher().start(run, 2, {})
    assert LaunchRecord.read(run) is None
