"""Runs of a screening's shards: one per shard, and none that outlives the screening."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelled, Cancelling, Completed, Crashed, Failed, Pending, Running, Scheduled

from unimol2_flows.screen import screen, screen_on_task_runner
from unimol2_tasks.errors import UserError
from unimol2_tasks.tasks import shard_runs
from unimol2_tasks.tasks.repeating import LostWorker, passes_by_itself
from unimol2_tasks.tasks.shard_runs import follow, shards_tag, start
from unimol2_tasks.training.interruption import interruptible_threads

PAGE = 3
SHARD = "rows 1 to 21"


@dataclass
class Server:
    """The runs that a Prefect server knows; gives them in pages, and one per idempotency key."""

    runs: dict[UUID, FlowRun] = field(default_factory=dict)
    becomes: list[State[Any]] = field(default_factory=list)
    """States of a run that is read, one after the other."""

    def add(self, state: State[Any], *tags: str, name: str = SHARD) -> FlowRun:
        run = FlowRun(id=uuid4(), flow_id=uuid4(), name=name, tags=list(tags), state=state)
        self.runs[run.id] = run
        return run

    def state(self, run: FlowRun) -> str:
        state = self.runs[run.id].state
        assert state is not None
        return str(state.name)

    @contextmanager
    def client(self, sync_client: bool) -> Iterator["Server"]:
        yield self

    def read_flow_runs(self, flow_run_filter: FlowRunFilter, sort: Any, offset: int) -> list[FlowRun]:
        return [run for run in self.runs.values() if matches(run, flow_run_filter)][offset : offset + PAGE]

    def read_flow_run(self, run_id: UUID) -> FlowRun:
        return self.runs[run_id].model_copy(update={"state": self.becomes.pop(0)})

    def set_flow_run_state(self, run_id: UUID, state: State[Any]) -> None:
        self.runs[run_id].state = state

    def run_deployment(self, _: str, **settings: Any) -> FlowRun:
        known = [run for run in self.runs.values() if run.idempotency_key == settings["idempotency_key"]]
        run = known[0] if known else self.add(Scheduled(), *settings["tags"], name=settings["flow_run_name"])
        run.idempotency_key = settings["idempotency_key"]
        return run


def matches(run: FlowRun, wanted: FlowRunFilter) -> bool:
    assert wanted.tags is not None
    assert wanted.state is not None
    assert wanted.state.type is not None
    assert run.state is not None
    named = wanted.name is None or run.name in (wanted.name.any_ or ())
    tagged = set(wanted.tags.all_ or ()) <= set(run.tags)
    return named and tagged and run.state.type in (wanted.state.type.any_ or ())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(shard_runs, "get_client", made.client)
    monkeypatch.setattr(shard_runs, "run_deployment", made.run_deployment)
    monkeypatch.setattr(shard_runs, "_POLL_SECONDS", 0.0)
    return made


@pytest.mark.parametrize("flow", [screen, screen_on_task_runner])
@pytest.mark.parametrize("hooks", ["on_cancellation_hooks", "on_crashed_hooks", "on_failure_hooks"])
def test_a_screening_that_ends_early_takes_all_its_shards_with_it(
    server: Server, flow: Any, hooks: str
) -> None:
    above, own, another = FlowRun(flow_id=uuid4()), FlowRun(flow_id=uuid4()), FlowRun(flow_id=uuid4())
    tags = shards_tag(own.id), shards_tag(above.id)
    alive = [server.add(state, *tags) for state in (Running(), Pending(), Scheduled()) for _ in range(PAGE)]
    done = server.add(Completed(), *tags)
    others = server.add(Running(), shards_tag(another.id))
    # Prefect's runner knows the deployment's run only; that of the flow below it ends in its process.
    ended = above if flow is screen else own
    (hook,) = getattr(flow, hooks)
    hook(flow, ended, Cancelled())
    assert {server.state(run) for run in alive} == {"Cancelling"}
    assert (server.state(done), server.state(others)) == ("Completed", "Running")


def test_another_attempt_goes_on_with_the_run_that_was_lost_sight_of(server: Server) -> None:
    first = start("flow/deployment", SHARD, {}, ("screen-1",))
    first.state = Running()
    assert start("flow/deployment", SHARD, {}, ("screen-1",)).id == first.id
    first.state = Completed()
    assert start("flow/deployment", SHARD, {}, ("screen-1",)).id == first.id
    assert start("flow/deployment", "rows 22 to 42", {}, ("screen-1",)).id != first.id
    assert start("flow/deployment", SHARD, {}, ("screen-2",)).id != first.id


def test_other_work_under_the_same_name_is_another_run(server: Server) -> None:
    """A run of a screening that is tried again may find another table, predictor or release of the code."""
    first = start("flow/deployment", SHARD, {"shard": {"workspace": "one"}}, ("screen-1",))
    first.state = Completed()
    assert start("flow/deployment", SHARD, {"shard": {"workspace": "two"}}, ("screen-1",)).id != first.id
    assert start("flow/deployment", SHARD, {"shard": {"workspace": "one"}}, ("screen-1",)).id == first.id


@pytest.mark.parametrize("state", [Crashed(), Cancelled(), Cancelling(), Failed()])
def test_a_run_that_was_lost_is_replaced(server: Server, state: State[Any]) -> None:
    first = start("flow/deployment", SHARD, {}, ("screen-1",))
    first.state = state
    second = start("flow/deployment", SHARD, {}, ("screen-1",))
    assert second.id != first.id
    assert set(second.tags) == {"unimol2", "screen-1"}


def test_a_run_is_followed_to_its_end(server: Server) -> None:
    server.becomes = [Pending(), Running(), Completed()]
    follow(server.add(Scheduled()), hours=None)
    assert server.becomes == []


def test_how_a_run_ended_says_whether_it_is_repeated(server: Server) -> None:
    with pytest.raises(LostWorker, match=rf"{SHARD}: run .* is Crashed") as lost:
        follow(server.add(Crashed()), hours=None)
    assert passes_by_itself(lost.value)
    with pytest.raises(UserError, match="failed: no such table") as failed:
        follow(server.add(Failed(message="no such table")), hours=None)
    assert not passes_by_itself(failed.value)


def test_a_run_that_is_late_is_cancelled_and_repeated(server: Server) -> None:
    run = server.add(Running())
    with pytest.raises(LostWorker, match="is late"):
        follow(run, hours=0.0)
    assert server.state(run) == "Cancelling"


def test_a_server_that_is_away_leaves_the_run_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [httpx.ConnectError("nobody listens"), httpx.ReadTimeout("no answer"), None]

    def read(run_id: UUID) -> FlowRun:
        if (error := answers.pop(0)) is not None:
            raise error
        return there(run_id)

    there = server.read_flow_run
    monkeypatch.setattr(server, "read_flow_run", read)
    server.becomes = [Completed()]
    run = server.add(Running())
    follow(run, hours=None)
    assert answers == []
    assert server.state(run) == "Running"


def test_an_interrupted_screening_cancels_its_runs_and_repeats_none(server: Server) -> None:
    with suppress(KeyboardInterrupt), interruptible_threads():
        thread = copy_context()
        raise KeyboardInterrupt
    run = server.add(Running())
    with pytest.raises(RuntimeError, match="was cancelled with its screening") as error:
        thread.run(follow, run, None)
    assert server.state(run) == "Cancelling"
    assert not passes_by_itself(error.value)
