"""Going on with another number of ranks or another ZeRO stage, through DeepSpeed's universal checkpoint.

A ZeRO checkpoint holds, for each rank, its part of the optimiser state. DeepSpeed converts it into one file
per parameter, from which any number of ranks can take their parts. The conversion is a process of its own:
`python -m unimol2_tasks.training.universal STATE_FOLDER NEW_FOLDER PARENT`.
"""

import os
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unimol2_tasks.errors import UserError
from unimol2_tasks.process_tree import die_with_parent


@dataclass(frozen=True, slots=True)
class Layout:
    """How the training state is spread over processes."""

    ranks: int
    zero_stage: int

    def __str__(self) -> str:
        return f"{self.ranks} rank{'s' * (self.ranks != 1)} at ZeRO stage {self.zero_stage}"


def needs_conversion(made: Layout, now: Layout) -> bool:
    """Whether a checkpoint has to be converted before it can be loaded.

    Without ZeRO every rank holds everything, and any number of ranks loads it as it is. Stages 1 and 2 keep
    the same state in the same files.

    Args:
        made: The layout in which the checkpoint was made.
        now: The layout that is to go on from it.

    Raises:
        UserError: DeepSpeed cannot bring the one into the other; says which stages it can.
    """
    if _family(made.zero_stage) != _family(now.zero_stage):
        stages = " or ".join(str(stage) for stage in range(4) if _family(stage) == _family(made.zero_stage))
        raise UserError(
            f"the checkpoint was made by {made}, and DeepSpeed cannot convert it for {now}; set zero_stage "
            f"to {stages}, with any number of ranks, or give another --out, which starts a new run"
        )
    return made.zero_stage > 0 and made.ranks != now.ranks


def convert(state: Path, universal: Path) -> None:
    """Convert a checkpoint's DeepSpeed folder into a universal one.

    Takes about the size of the checkpoint on disk, twice for a while, and the memory of one rank's part.

    Args:
        state: DeepSpeed's folder inside a checkpoint.
        universal: A folder that is not there yet, in one that is.

    Raises:
        UserError: The conversion failed; the end of what it said is in the message.
    """
    module = "unimol2_tasks.training.universal"
    command = [sys.executable, "-m", module, *map(str, (state.absolute(), universal.absolute(), os.getpid()))]
    # The conversion needs no GPU, whose memory this process fills.
    environment = {**os.environ, "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == -signal.SIGKILL:
        raise MemoryError(f"{state}: the conversion for another number of ranks was killed")
    if done.returncode:
        raise UserError(
            f"{state}: DeepSpeed could not convert the checkpoint for another number of ranks (exit code "
            f"{done.returncode}); go on with as many as before. It said:\n{done.stderr[-2000:]}"
        )


@contextmanager
def loading_universal(engine: Any) -> Iterator[None]:
    """Have `engine.load_checkpoint` expect a universal checkpoint, inside of the block.

    The engine asks its configuration only when it loads, so nothing needs to be known when it is built.
    """
    config = engine._config
    config.load_universal_checkpoint = True
    try:
        yield
    finally:
        config.load_universal_checkpoint = False
    _give_each_parameter_its_own_step(engine.basic_optimizer)


def _give_each_parameter_its_own_step(optimizer: Any) -> None:
    """Undo that DeepSpeed hands out one count of steps, in the memory of the host, to several parameters.

    Adam counts in place: shared by n parameters, the count would grow by n in each step. The fused kernel
    expects it beside its parameter.
    """
    for parameter, state in optimizer.state.items():
        if "step" in state:
            state["step"] = state["step"].to(parameter.device, copy=True)


def _family(stage: int) -> str:
    return ("replicated", "partitioned state", "partitioned state", "partitioned weights")[stage]


def main(state: str, universal: str, parent: int) -> None:
    """Convert as a child of process `parent`; in this one process, so that none outlives it."""
    die_with_parent(parent)
    # Schedulers send it to every process of a job; the rank above decides what it means.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    from deepspeed.checkpoint.ds_to_universal import main as ds_to_universal

    ds_to_universal(
        Namespace(
            input_folder=state,
            output_folder=universal,
            num_extract_workers=1,
            num_merge_workers=1,
            keep_temp_folder=False,
            strict=True,
            # Our networks have no parameter that needs special treatment.
            inject_missing_state=True,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
