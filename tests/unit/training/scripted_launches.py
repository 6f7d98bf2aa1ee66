"""Launches that do what a test tells them, whoever would launch them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from unimol2_tasks.training.job import RunFolder, write_json
from unimol2_tasks.training.launchers.launcher import Ending, Phase


@dataclass
class ScriptedLaunch:
    """Does one thing when it is looked at first, and has ended when it is looked at again."""

    deed: Callable[[RunFolder], Any]
    run: RunFolder
    told: Ending = field(default_factory=Ending)
    name: str = "scripted launch"
    files_lag: float = 0.0
    calls: list[str] = field(default_factory=list)
    looks: int = 0
    hangs: bool = False

    def phase(self) -> Phase:
        self.looks += 1
        if self.looks == 1:
            return "waiting"
        if self.looks == 2:
            self.deed(self.run)
            return "running"
        return "running" if self.hangs and "end" not in self.calls else "ended"

    def request_stop(self) -> None:
        self.calls.append("request_stop")

    def dump_stacks(self) -> None:
        self.calls.append("dump_stacks")

    def end(self) -> None:
        self.calls.append("end")

    def ending(self) -> Ending:
        return self.told


@dataclass
class ScriptedLauncher:
    """Launches one after the other."""

    launches: list[ScriptedLaunch]
    left_alive: ScriptedLaunch | None = None
    started: list[ScriptedLaunch] = field(default_factory=list)
    environment: Mapping[str, str] = field(default_factory=dict)
    interrupted: bool = False
    cancelled: bool = False

    def attach(self, _: RunFolder) -> ScriptedLaunch | None:
        found, self.left_alive = self.left_alive, None
        return found

    def start(self, _: RunFolder, __: int, environment: Mapping[str, str]) -> ScriptedLaunch:
        if self.interrupted:
            raise KeyboardInterrupt
        self.environment = environment
        self.started.append(self.launches[len(self.started)])
        return self.started[-1]

    def cancel(self, _: RunFolder) -> None:
        self.cancelled = True


def step(number: int) -> Callable[[RunFolder], Any]:
    def beat(run: RunFolder) -> None:
        write_json(run.heartbeat, {"step": number, "steps": 9, "detail": ""})

    return beat


def fails(reason: str) -> Callable[[RunFolder], Any]:
    return lambda run: write_json(run.failure, {"reason": reason, "message": f"it was {reason}"})


def finish(run: RunFolder) -> None:
    run.result.mkdir()
