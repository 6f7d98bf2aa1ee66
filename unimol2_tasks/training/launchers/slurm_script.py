"""The batch script that Slurm runs: one task per node, each a torchrun that meets the others."""

import math
import shlex
import sys
from collections.abc import Mapping

from unimol2_tasks.errors import UserError
from unimol2_tasks.params import LaunchParams
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.launch import LAUNCH

# What sbatch's own reader of `#SBATCH` lines takes for more than a character, or ends a line.
_UNWRITABLE = "\n\r'\"\\"
_LAST_LINES = """
trap : TERM
cd /
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))
"""


def batch_script(
    run: RunFolder, name: str, ranks: int, params: LaunchParams, environment: Mapping[str, str], notice: int
) -> str:
    """The script, which holds no secret: Slurm passes on the submitter's environment by itself.

    Args:
        run: Where the job is described and the log is written.
        name: The job's name.
        ranks: Over all nodes.
        params: Nodes, and what to ask of each.
        environment: Variables that the ranks need besides.
        notice: Seconds before the time limit at which the ranks are asked to stop.

    Raises:
        UserError: The run folder's path cannot be written into a script.
        ParameterError: The ranks cannot be shared out over the nodes.
    """
    lines = ["#!/bin/bash", *(f"#SBATCH {line}" for line in _directives(run, name, ranks, params, notice))]
    lines += ["", *params.slurm.setup]
    lines += [f"export {key}={shlex.quote(value)}" for key, value in environment.items()]
    return "\n".join(lines) + _LAST_LINES + _srun(run, ranks, params) + "\n"


def _directives(run: RunFolder, name: str, ranks: int, params: LaunchParams, notice: int) -> list[str]:
    slurm = params.slurm
    asked = {
        "partition": slurm.partition,
        "account": slurm.account,
        "qos": slurm.qos,
        "constraint": slurm.constraint,
        "mem": slurm.memory,
        "cpus-per-task": slurm.cpus,
        "gpus-per-node": params.gpus(ranks) or None,
        "time": None if params.time_limit is None else math.ceil(params.time_limit * 60),
        "job-name": name,
        "nodes": params.nodes,
        "ntasks-per-node": 1,
        "output": _log_pattern(run),
        "open-mode": "append",
        # To the steps, as scancel's; the shell waits for them.
        "signal": f"TERM@{notice}",
    }
    given = [f"--{key}={shlex.quote(str(value))}" for key, value in asked.items() if value is not None]
    # Of an option that comes twice the later one counts, and the supervisor relies on ours.
    return [*slurm.options, *given, "--no-requeue"]


def _log_pattern(run: RunFolder) -> str:
    path = str(run.log.absolute())
    if any(character in path for character in _UNWRITABLE):
        raise UserError(
            f"{path}: Slurm cannot be given a path with quotes or backslashes; choose another --out"
        )
    return path.replace("%", "%%")


def _srun(run: RunFolder, ranks: int, params: LaunchParams) -> str:
    srun = ["srun", f"--nodes={params.nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--label"]
    if params.slurm.cpus is not None:
        # Since Slurm 22.05 a step does not have it from the job.
        srun.append(f"--cpus-per-task={params.slurm.cpus}")
    launch = [sys.executable, "-m", LAUNCH, str(run.path.absolute())]
    launch += ["--ranks", str(params.ranks_per_node(ranks)), "--nodes", str(params.nodes)]
    return shlex.join([*srun, *launch]) + ' --rendezvous "$first:$port" --id "$SLURM_JOB_ID"'
