"""Starts the ranks: `python -m unimol2_tasks.training.launch RUN_FOLDER PARENT RANKS`.

A thin parent around torchrun that dies with the supervisor (process PARENT), which torchrun alone would
not, and that notices how a rank ended: the others see no more than a broken connection.
"""

import os
import signal
import sys
from pathlib import Path

from unimol2_tasks.process_tree import die_with_parent
from unimol2_tasks.training.job import RunFolder, write_json

WORKER = "unimol2_tasks.training.worker"


def main(folder: str, parent: str, ranks: str) -> None:
    """Run torchrun on this node; `--standalone` takes a free port, so that jobs never collide."""
    die_with_parent(int(parent))
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    command = ["--standalone", f"--nproc_per_node={ranks}", "--module", WORKER, folder, str(os.getpid())]
    try:
        torchrun(command)
    except ChildFailedError as error:
        exits = {rank: failure.exitcode for rank, failure in error.failures.items()}
        _explain_signals(RunFolder(Path(folder)), exits)
        raise


def _explain_signals(run: RunFolder, exits: dict[int, int]) -> None:
    """Put the signal that ended a rank in place of what it led to in the other ranks.

    SIGTERM is how torchrun itself ends the others once a rank has failed.
    """
    signals = {rank: signal.Signals(-code) for rank, code in exits.items() if code < 0}
    ended = [f"rank {rank} by {sent.name}" for rank, sent in signals.items() if sent != signal.SIGTERM]
    if ended:
        write_json(run.failure, {"reason": "crash", "message": f"ended from outside: {', '.join(ended)}"})


if __name__ == "__main__":
    main(*sys.argv[1:])
