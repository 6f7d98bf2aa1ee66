"""Real training commands that get interrupted, and what an uninterrupted one would have made."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import pretrain
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launch import WORKER

_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Command:
    """A running `unimol2 pretrain` or `unimol2 finetune`."""

    process: subprocess.Popen[bytes]
    out: Path

    @property
    def run(self) -> RunFolder:
        """Its run folder, once there is one."""
        found = list((self.out.parent / ".work").glob(f"{self.out.name}-*"))
        return RunFolder(found[0] if found else self.out.parent / "no run folder yet")

    @property
    def checkpoints(self) -> list[str]:
        """Complete checkpoints, oldest first."""
        return sorted(path.name for path in self.run.checkpoints.glob("step-*"))

    @property
    def log(self) -> str:
        """What its ranks have printed."""
        return self.run.log.read_text(errors="replace") if self.run.log.exists() else ""

    @property
    def files(self) -> dict[str, bytes]:
        """What it has published; the manifest apart, which holds the time that it took."""
        return {path.name: path.read_bytes() for path in self.out.iterdir() if path.name != MANIFEST}

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until it holds; fail when the command ends first or two minutes pass."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            assert self.process.poll() is None, f"it ended too early:\n{self.log}"
            assert time.monotonic() < deadline, f"it did not happen in time:\n{self.log}"
            time.sleep(0.01)

    def wait_for_step(self, step: int) -> None:
        """Wait for the checkpoint of a step, or a later one."""
        self.wait_until(lambda: max(self.checkpoints, default="") >= f"step-{step:09d}")

    def tree(self) -> list[psutil.Process]:
        """Every process that it has started and that still lives."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def rank(self, number: int) -> psutil.Process:
        """One of the training processes."""
        return next(
            process
            for process in self.tree()
            if WORKER in process.cmdline() and process.environ()["RANK"] == str(number)
        )

    def end_by(self, number: int) -> int:
        """Send it a signal and wait for its end; returns its exit code when all that it started has ended.

        A process may wait for an init that is slow to reap it, but none may run any more.
        """
        tree = self.tree()
        self.process.send_signal(number)
        code = self.process.wait(_PATIENCE_SECONDS)
        _, left = psutil.wait_procs(tree, timeout=5)
        assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
        return code


class Start:
    """Starts commands in one folder; whatever still runs at the end of the test is killed."""

    def __init__(self, folder: Path, inputs: list[str]) -> None:
        self._folder = folder
        self._inputs = inputs
        self._started: list[Command] = []

    def __call__(self, step: str, out: str, params: Params, *inputs: str) -> Command:
        """Start `unimol2 STEP` in the background."""
        settings = self._folder / "params.yaml"
        settings.write_text(yaml.safe_dump(params.model_dump(mode="json")))
        command = [sys.executable, "-m", "unimol2_tasks.cli", step, *self._inputs, *inputs]
        process = subprocess.Popen([*command, "--out", str(self._folder / out), "--params", str(settings)])
        self._started.append(Command(process, self._folder / out))
        return self._started[-1]

    def kill_all(self) -> None:
        """Their ranks end with them."""
        for command in self._started:
            command.process.kill()
            command.process.wait()


@pytest.fixture
def start(tmp_path: Path, tiny_dataset: ArtifactRef) -> Iterator[Start]:
    starter = Start(tmp_path, ["--dataset", tiny_dataset.uri])
    yield starter
    starter.kill_all()


@pytest.fixture(scope="session")
def long_params(tiny_params: Params) -> Params:
    """Long enough to be interrupted in the middle; with dropout, so that its randomness counts."""
    values = tiny_params.model_dump()
    values["pretrain"] |= {"steps": 90, "checkpoint_every": 10, "validate_every": 30}
    return parse_params(values)


@pytest.fixture(scope="session")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, long_params: Params, tiny_dataset: ArtifactRef
) -> dict[str, bytes]:
    """The files of the model that an undisturbed run makes."""
    out = tmp_path_factory.mktemp("uninterrupted") / "model"
    pretrain.run(long_params, pretrain.PretrainInputs(tiny_dataset.uri), str(out))
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != MANIFEST}
