"""Starts the ranks: `python -m unimol2_tasks.training.launch RANKS RUN_FOLDER`.

A thin parent around torchrun that dies with the supervisor, which torchrun alone would not.
"""

import sys

from unimol2_tasks.process_tree import die_with_parent

WORKER = "unimol2_tasks.training.worker"


def main(ranks: str, folder: str) -> None:
    """Run torchrun on this node; `--standalone` takes a free port, so that jobs never collide."""
    die_with_parent()
    from torch.distributed.run import main as torchrun

    torchrun(["--standalone", f"--nproc_per_node={ranks}", "--module", WORKER, folder])


if __name__ == "__main__":
    main(*sys.argv[1:])
