"""What Prefect costs beside the bare steps, and how soon it notices that somebody cancelled or died.

On a server of its own (SQLite, loopback) with the embedded molecules: the steps of the flow `end_to_end` as
plain functions and as the flow; pretraining that is cancelled; a worker that is killed, with the automation
of infra/prefect/zombies.yaml as it is shipped; `screen` over one and two workers.

    python -m benchmarks.orchestration
"""

import argparse
import math
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import psutil
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from rich.console import Console
from rich.table import Table

from tests.integration.prefect.projects import Project, deployed_from, wait_until
from tests.integration.prefect_servers import running_server
from unimol2_flows.end_to_end import end_to_end
from unimol2_flows.screen import Workers, screen
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import evaluate, finetune, predict, prepare, pretrain

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data" / "demo"
TASKS = 6
"""Of `end_to_end` without the training from scratch."""
SHARD = "unimol2-screen-shard/screen-shard"
_TRAINING: dict[str, Any] = {"ranks": 1, "batch_size": 32, "learning_rate": 1e-3}


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--molecules", type=int, default=500, help="of each table (default: 500)")
    parser.add_argument("--library", type=int, default=1200, help="rows that are screened (default: 1200)")
    parser.add_argument("--repetitions", type=int, default=3, help="of steps and flow (default: 3)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "server").mkdir()
        with running_server(folder / "server") as api:
            os.chdir(folder)
            settings = {PREFECT_API_URL: api, PREFECT_HOME: folder / "prefect"}
            with temporary_settings(settings):
                Console().print(overhead(folder, options.molecules, options.repetitions))
                Console().print(signs_of_life(folder, api, options.library))


def parameters(**sections: dict[str, Any]) -> Params:
    """A network that trains in seconds."""
    return parse_params(
        {
            "prepare": {"conformers": 1, "split": "random", "workers": 1, **sections.get("prepare", {})},
            "model": {"preset": "tiny", "blocks": 2},
            "pretrain": {
                **_TRAINING, "steps": 40, "warmup_steps": 4, "validation_molecules": 32,
                **sections.get("pretrain", {}),
            },
            "finetune": {**_TRAINING, "epochs": 2, "targets": ["gap_eV"]},
            "predict": sections.get("predict", {}),
        }
    )  # fmt: skip


def table_of(folder: Path, name: str, rows: int) -> str:
    """The first rows of an embedded table, which are repeated where it has fewer."""
    source = pl.read_csv(DATA / f"{name}.csv")
    path = folder / f"{name}-{rows}.csv"
    pl.concat([source] * math.ceil(rows / source.height)).head(rows).write_csv(path)
    return str(path)


def overhead(folder: Path, molecules: int, repetitions: int) -> Table:
    """The steps alone, the same as a flow, and the flow when everything is cached."""
    params = parameters()
    tables = [table_of(folder, name, molecules) for name in ("molecules", "labelled", "library")]
    bare, flow, cached = [], [], []
    for number in range(repetitions):
        out = folder / f"run-{number}"
        bare.append(seconds(partial(steps, *tables, str(out / "bare"), params)))
        run = partial(as_flow, *tables, str(out / "flow"), params)
        flow.append(seconds(run))
        cached.append(seconds(run))
    table = Table(title=f"{TASKS} steps on {molecules} molecules each; {repetitions} repetitions")
    for column in ("how", "seconds (median)", "least", "beside the steps", "per task, s"):
        table.add_column(column, justify="right")
    base = statistics.median(bare)
    for how, times in (("steps alone", bare), ("flow", flow), ("flow, all cached", cached)):
        middle = statistics.median(times)
        more = "" if times is bare else f"{100 * (middle - base) / base:+.1f} %"
        spent = {"flow": middle - base, "flow, all cached": middle}.get(how)
        each = "" if spent is None else f"{spent / TASKS:.2f}"
        table.add_row(how, f"{middle:.1f}", f"{min(times):.1f}", more, each)
    return table


def steps(molecules: str, labelled: str, library: str, out: str, params: Params) -> None:
    """What the tasks of `end_to_end` call."""
    unlabelled = prepare.run(
        params.prepare, prepare.PrepareInputs(molecules, label_columns=()), f"{out}/molecules"
    )
    dataset = prepare.run(params.prepare, prepare.PrepareInputs(labelled), f"{out}/labelled")
    model = pretrain.run(params, pretrain.PretrainInputs(unlabelled.uri), f"{out}/model")
    predictor = finetune.run(params, finetune.FinetuneInputs(dataset.uri, model.uri), f"{out}/predictor")
    evaluate.run(params, evaluate.EvaluateInputs(predictor.uri, dataset.uri), f"{out}/report")
    predict.run(params, predict.PredictInputs(predictor.uri, library), f"{out}/predictions.csv")


def as_flow(molecules: str, labelled: str, library: str, out: str, params: Params) -> None:
    """The same through Prefect."""
    end_to_end(molecules, labelled, out, library=library, params=params, compare_with_scratch=False)


def signs_of_life(folder: Path, api: str, library: int) -> Table:
    """How long cancelling and noticing a death take, and what a second worker brings."""
    table = Table(title="Deployments on two cores")
    table.add_column("what")
    table.add_column("measured", justify="right")
    with deployed_from(folder / "training", api, ROOT, DATA / "molecules.csv") as project:
        cancelled, noticed = cancel_and_kill(project)
    table.add_row("from cancelling a pretraining to its last process gone", f"{cancelled:.1f} s")
    table.add_row("from killing a worker to the run's state Crashed", f"{noticed:.1f} s")
    predictor = str(folder / "run-0" / "bare" / "predictor")
    rates = {}
    for workers in (1, 2):
        with deployed_from(folder / f"screen-{workers}", api, ROOT, DATA / "molecules.csv") as project:
            rates[workers] = screened(project, predictor, table_of(folder, "labelled", library), workers)
    for workers, rate in rates.items():
        more = "" if workers == 1 else f" ({rate / rates[1]:.2f}×)"
        table.add_row(f"screen of {library:,} rows, workers: {workers}", f"{rate:.1f} rows/s{more}")
    return table


def cancel_and_kill(project: Project) -> tuple[float, float]:
    """Seconds from the wish to cancel to no process, and from SIGKILL to the state that says so."""
    project.prefect("automation", "create", "--from-file", str(ROOT / "infra" / "prefect" / "zombies.yaml"))
    project.deploy("pretrain")
    project.start_worker()
    run, processes = _training(project, "cancelled")
    asked = time.monotonic()
    # As `prefect flow-run cancel`, whose own start would take longer than what is measured.
    state = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    project.client.post(f"/flow_runs/{run}/set_state", json=state).raise_for_status()
    psutil.wait_procs(processes, timeout=120)
    cancelled = time.monotonic() - asked
    wait_until(lambda: project.state(run) == "Cancelled", "the state of the cancelled run")
    run, processes = _training(project, "killed")
    project.workers[-1].end(signal.SIGKILL)
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # ranks die with their launcher
            process.kill()
    killed = time.monotonic()
    wait_until(lambda: project.state(run) == "Crashed", "the state of the killed run")
    return cancelled, time.monotonic() - killed


def _training(project: Project, name: str) -> tuple[str, list[psutil.Process]]:
    """Start a pretraining without an end in sight, and wait for its first checkpoint."""
    params = parameters(pretrain={"steps": 10**6, "checkpoint_every": 10, "validate_every": 1000})
    values = params.model_dump(mode="json", exclude_defaults=True)
    out = f"runs/{name}"
    run = project.start_run("pretrain", {"table": "data/demo/molecules.csv", "out": out, "params": values})
    work = project.folder / "runs" / name / ".work"
    wait_until(lambda: list(work.glob("model-*/checkpoints/step-*")), "a checkpoint")
    return run, project.workers[-1].tree()


def screened(project: Project, predictor: str, library: str, workers: int) -> float:
    """Rows per second of a screening by some workers, each with one run at a time."""
    params = parameters(predict={"unit_rows": 100})
    project.deploy("screen-shard")
    for _ in range(workers):
        project.start_worker("--limit", "1")
    rows = pl.read_csv(library).height
    sharing = Workers(deployment=SHARD, units=2, at_a_time=workers)
    out = str(project.folder / "predictions.csv")
    return rows / seconds(lambda: screen(predictor, library, out, params, workers=sharing))


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
