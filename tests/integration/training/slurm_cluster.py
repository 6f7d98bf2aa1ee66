"""A Slurm of one machine: sbatch, srun, scontrol, sacct, squeue and scancel as executables of real processes.

Each executable calls `main` below with its own name; a folder is the cluster's state. What a test can set in
`settings.json`: how often sacct fails (`sacct_failures`), whether it knows of no job yet (`sacct_lags`), what
sbatch says instead of submitting (`sbatch_error`), a command that steps run instead of theirs (`step`), the
state in which jobs end (`state`), and the step of training at which the first job is told that its time is up
(`notice_at_step`; 0: at once).
"""

import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

COMMANDS = ("sbatch", "srun", "scontrol", "sacct", "squeue", "scancel")
_KILL_WAIT_SECONDS = 3.0
_POLL_SECONDS = 0.02


class SlurmCluster:
    """The cluster whose commands lie in `folder / "bin"`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"

    def install(self) -> None:
        """Write the executables."""
        self.bin.mkdir(parents=True)
        for name in COMMANDS:
            path = self.bin / name
            path.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
                f"from slurm_cluster import main\nmain({name!r}, {str(self.folder)!r}, sys.argv[1:])\n"
            )
            path.chmod(0o755)
        self.set()

    def set(self, **settings: Any) -> None:
        """Replace the settings."""
        partial = self.folder / "settings.partial"
        partial.write_text(json.dumps(settings))
        partial.replace(self.folder / "settings.json")

    def get(self, name: str) -> Any:
        """A setting, or None."""
        return json.loads((self.folder / "settings.json").read_text()).get(name)

    @property
    def jobs(self) -> list["SlurmJob"]:
        """All jobs, oldest first."""
        return [SlurmJob(path) for path in sorted(self.folder.glob("job-*"))]

    def processes(self) -> list[psutil.Process]:
        """Every process of every job."""
        return [process for job in self.jobs for process in job.processes()]

    def shut_down(self) -> None:
        """Kill what still runs."""
        for job in self.jobs:
            _send(job.processes(), signal.SIGKILL)
            psutil.wait_procs(job.processes(), timeout=5)


class SlurmJob:
    """One job's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def number(self) -> str:
        """The job's id."""
        return self.folder.name.removeprefix("job-")

    @property
    def options(self) -> dict[str, str]:
        """Its `#SBATCH` options, read as sbatch does: shell quotes, later ones win."""
        lines = (self.folder / "script").read_text().splitlines()
        words = [word for line in lines if line.startswith("#SBATCH ") for word in shlex.split(line[8:])]
        pairs = [word.removeprefix("--").partition("=") for word in words]
        return {key: value for key, _, value in pairs}

    def note(self, name: str, value: object = "") -> None:
        """Write one fact."""
        (self.folder / f"{name}.partial").write_text(str(value))
        (self.folder / f"{name}.partial").replace(self.folder / name)

    def known(self, name: str) -> str | None:
        """Read one fact."""
        path = self.folder / name
        return path.read_text() if path.exists() else None

    def steps(self) -> list[psutil.Process]:
        """Every process of its steps, as in Slurm's container."""
        return [process for root in self.folder.glob("task-*") for process in _tree(int(root.read_text()))]

    def processes(self) -> list[psutil.Process]:
        """Every process of it."""
        return [*_tree(int(self.known("pid") or 0)), *self.steps()]


def _tree(pid: int) -> list[psutil.Process]:
    """A process with all below it; what only waits for an init that is slow to reap it is gone."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)] if pid else []
        return [process for process in tree if process.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def sbatch(cluster: SlurmCluster, words: list[str]) -> None:
    assert words[0] == "--parsable"
    if error := cluster.get("sbatch_error"):
        sys.exit(f"sbatch: error: Batch job submission failed: {error}")
    job = SlurmJob(cluster.folder / f"job-{1001 + len(cluster.jobs)}")
    job.folder.mkdir()
    job.note("script", Path(words[1]).read_text())
    command = [sys.executable, __file__, str(cluster.folder), job.number]
    daemon = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    job.note("pid", daemon.pid)
    print(job.number)


def run_job(cluster: SlurmCluster, job: SlurmJob) -> None:
    """What slurmd does: run the script, and watch its time and its cancellation."""
    notice = cluster.get("notice_at_step") if len(cluster.jobs) == 1 else None
    log = Path(job.options["output"].replace("%%", "%"))
    environment = {**os.environ, "SLURM_JOB_ID": job.number, "SLURM_JOB_NODELIST": "localhost"}
    with log.open("a") as output:
        script = subprocess.Popen(
            ["bash", str(job.folder / "script")], stdout=output, stderr=output, env=environment
        )
    job.note("started")
    cancelled = 0.0
    while script.poll() is None:
        time.sleep(_POLL_SECONDS)
        if notice is not None and job.known("launched") is not None and _step(log.parent) >= notice:
            notice = None
            job.note("elapsed", int(job.options["time"]) * 60 - int(job.options["signal"].partition("@")[2]))
            _send(job.steps(), signal.SIGTERM)
        if not cancelled and job.known("cancel") is not None:
            cancelled = time.monotonic()
            _send([*_tree(script.pid), *job.steps()], signal.SIGTERM)
        if cancelled and time.monotonic() - cancelled > _KILL_WAIT_SECONDS:
            _send([*job.steps(), *_tree(script.pid)], signal.SIGKILL)
    ended = "CANCELLED by 1000" if cancelled else "FAILED" if script.returncode else "COMPLETED"
    job.note("exit", f"{script.returncode}:0")
    job.note("ended", cluster.get("state") or ended)


def _step(run: Path) -> int:
    beat = run / "heartbeat.json"
    return int(json.loads(beat.read_text())["step"]) if beat.exists() else 0


def srun(cluster: SlurmCluster, words: list[str]) -> None:
    job = SlurmJob(cluster.folder / f"job-{os.environ['SLURM_JOB_ID']}")
    options = list(itertools.takewhile(lambda word: word.startswith("--"), words))
    command = words[len(options) :]
    job.note("srun", json.dumps(words))
    job.note("environment", json.dumps(dict(os.environ)))
    if step := cluster.get("step"):
        command = ["bash", "-c", step]
    nodes = int(next(word for word in options if word.startswith("--nodes=")).partition("=")[2])
    tasks = [
        subprocess.Popen(command, start_new_session=True, env={**os.environ, "SLURM_NODEID": str(number)})
        for number in range(nodes)
    ]
    for number, task in enumerate(tasks):
        job.note(f"task-{number}", task.pid)
    job.note("launched")
    signal.signal(signal.SIGTERM, lambda *_: None)
    codes = [task.wait() for task in tasks]
    sys.exit(next((abs(code) for code in codes if code), 0))


def scontrol(_: SlurmCluster, words: list[str]) -> None:
    assert words[:2] == ["show", "hostnames"]
    print(words[2])


def sacct(cluster: SlurmCluster, words: list[str]) -> None:
    left = cluster.get("sacct_failures") or 0
    if left:
        cluster.set(
            **{**json.loads((cluster.folder / "settings.json").read_text()), "sacct_failures": left - 1}
        )
        sys.exit("sacct: error: Problem talking to the database: Connection refused")
    kind, _, wanted = words[0].partition("=")
    for job in [] if cluster.get("sacct_lags") else cluster.jobs:
        if wanted != (job.number if kind == "--jobs" else job.options["job-name"]):
            continue
        state = job.known("ended") or ("RUNNING" if job.known("started") is not None else "PENDING")
        limit = job.options.get("time", "UNLIMITED")
        print(f"{job.number}|{state}|{job.known('exit') or '0:0'}|{job.known('elapsed') or 1}|{limit}")


def squeue(cluster: SlurmCluster, words: list[str]) -> None:
    assert words[0] == "--me"
    assert words[-1] == "--format=%A"
    name = words[1].removeprefix("--name=")
    print("\n".join(job.number for job in cluster.jobs if job.options["job-name"] == name))


def scancel(cluster: SlurmCluster, words: list[str]) -> None:
    if words[0].startswith("--name="):
        for job in cluster.jobs:
            if job.options["job-name"] == words[0].removeprefix("--name="):
                job.note("cancel")
        return
    job = SlurmJob(cluster.folder / f"job-{words[-1]}")
    assert job.folder.is_dir()
    if words[0].startswith("--signal="):
        _send(job.steps(), signal.Signals["SIG" + words[0].partition("=")[2]])
    else:
        job.note("cancel")


def main(name: str, folder: str, words: list[str]) -> None:
    """Run one of the commands."""
    globals()[name](SlurmCluster(Path(folder)), words)


if __name__ == "__main__":
    _cluster = SlurmCluster(Path(sys.argv[1]))
    run_job(_cluster, SlurmJob(_cluster.folder / f"job-{sys.argv[2]}"))
