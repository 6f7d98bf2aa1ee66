"""Starts the ranks of one node: `python -m unimol2_tasks.training.launch RUN_FOLDER --ranks N …`.

A thin parent around torchrun. On the supervisor's machine it dies with the supervisor (`--parent`), which
torchrun alone would not; on other machines it passes on to its ranks what the scheduler signals and what the
run folder requests. It notices how a rank ended: the others see no more than a broken connection.
"""

import argparse
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from unimol2_tasks.process_tree import descendants, die_with_parent, signal_all
from unimol2_tasks.training.job import RunFolder, read_json, write_json

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

LAUNCH = "unimol2_tasks.training.launch"
WORKER = "unimol2_tasks.training.worker"
STACKS = "stacks"
"""What the supervisor writes into `request_file` to see where the ranks of all nodes are."""
NO_RUN_FOLDER = os.EX_NOINPUT
"""Exit code of a node that does not see the run folder; no other launch will see it either."""
_WATCH_SECONDS = 1.0
# Torchrun notes whole seconds.
_AT_ONCE_SECONDS = 1
# Whatever ends such a rank after it has said so is not the reason.
_NEVER_ANOTHER_RANKS_DOING = frozenset({"stopped", "diverged", "user error", "out of memory"})
# Nodes start when they have pulled their image or finished another job's epilogue.
_RENDEZVOUS = "join_timeout=1800,read_timeout=1800"


def request_file(run: RunFolder) -> Path:
    """A word for the nodes. It is rewritten in place: NFS shows a new file late, but new content at once."""
    return run.path / "request"


def ranks_below(pid: int) -> list[psutil.Process]:
    """The ranks that process `pid` has started, without their own children."""
    found = []
    for process in descendants(pid):
        try:
            if WORKER in process.cmdline() and process.ppid() == pid:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def main(arguments: Sequence[str]) -> None:
    """Run torchrun on this node until its ranks have ended."""
    options = _parse(arguments)
    run = RunFolder(options.run)
    if options.parent is not None:
        die_with_parent(options.parent)
        # Takes a free port, so that jobs never collide.
        place = ["--standalone"]
    else:
        _serve_from_afar(run)
        place = [
            f"--nnodes={options.nodes}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={options.rendezvous}",
            f"--rdzv-id={options.id}",
            f"--rdzv-conf={_RENDEZVOUS}{_hosting(os.environ)}",
            # SIGTERM is ours: torchrun would kill the ranks after 30 s, whatever the grace.
            "--signals-to-handle=SIGINT",
        ]
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // options.ranks)))
    _run_torchrun([*place, f"--nproc_per_node={options.ranks}"], run)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=LAUNCH)
    parser.add_argument("run", type=Path)
    parser.add_argument("--ranks", type=int, required=True, help="ranks of this node")
    parser.add_argument("--parent", type=int, help="process to die with; the run has just this node")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--rendezvous", help="HOST:PORT of the first node")
    parser.add_argument("--id", help="the same on all nodes, and no other run's")
    return parser.parse_args(arguments)


def _hosting(environment: Mapping[str, str]) -> str:
    """Tells torchrun which node the others meet at, as it would guess from host names and DNS."""
    index = environment.get("SLURM_NODEID", environment.get("JOB_COMPLETION_INDEX"))
    return "" if index is None else f",is_host={'true' if index == '0' else 'false'}"


def _run_torchrun(options: list[str], run: RunFolder) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun([*options, "--module", WORKER, str(run.path), str(os.getpid())])
    except ChildFailedError as error:
        _explain_signals(run, error)
        raise


def _explain_signals(run: RunFolder, error: "ChildFailedError") -> None:
    """Put the signal that ended a rank in place of what it led to in the other ranks.

    Once a rank has failed, torchrun itself ends the others: by SIGTERM, and 30 s later by SIGKILL. It records
    these exits too, when they have happened.
    """
    failure = read_json(run.failure)
    if failure is not None and failure["reason"] in _NEVER_ANOTHER_RANKS_DOING:
        return
    _, first = error.get_first_failure()
    signals = {
        rank: signal.Signals(-failure.exitcode)
        for rank, failure in error.failures.items()
        if failure.exitcode < 0 and failure.timestamp <= first.timestamp + _AT_ONCE_SECONDS
    }
    ended = [f"rank {rank} by {sent.name}" for rank, sent in signals.items() if sent != signal.SIGTERM]
    if ended:
        said = "" if failure is None else f"; before that a rank said: {failure['message']}"
        message = f"ended from outside: {', '.join(ended)}{said}"
        write_json(run.failure, {"reason": "crash", "message": message})


def _serve_from_afar(run: RunFolder) -> None:
    """Pass on the scheduler's SIGTERM and the run folder's requests."""
    if not run.job.is_file():
        print(
            f"{run.job}: not there on {socket.gethostname()}; the run folder must be on storage that "
            "all nodes and the machine of the command share, under the same path",
            file=sys.stderr,
        )
        sys.exit(NO_RUN_FOLDER)
    signal.signal(signal.SIGTERM, _pass_on)
    threading.Thread(target=_watch, args=(run,), daemon=True).start()


def _pass_on(number: int, _: Any) -> None:
    ranks = ranks_below(os.getpid())
    if not ranks:
        sys.exit(128 + number)
    signal_all(ranks, signal.SIGTERM)


def _watch(run: RunFolder) -> None:
    """Have this node's ranks print their stacks, once, when the supervisor asks for it."""
    while request_file(run).read_text(encoding="utf-8") != STACKS:
        time.sleep(_WATCH_SECONDS)
    signal_all(ranks_below(os.getpid()), signal.SIGUSR1)


if __name__ == "__main__":
    main(sys.argv[1:])
