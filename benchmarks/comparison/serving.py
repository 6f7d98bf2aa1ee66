"""A worker process: jobs come in as lines of JSON on stdin, answers go out as lines of JSON on stdout."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.comparison.measuring import CLOCKS, Job, Network
from benchmarks.comparison.molecule_sets import Arrays, read_sets

Sets = Mapping[str, Sequence[Arrays]]


def serve(build: Callable[[Path, Sets, torch.dtype], Network[Any, Any]]) -> None:
    """Answer jobs until stdin ends.

    Args:
        build: makes the network from a released checkpoint.pt, the molecules and a precision.

    Raises:
        SystemExit: torch is not of the version that the driver has.
    """
    # Whatever a library prints must not look like an answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    options = _options()
    here, there = (version.partition("+")[0] for version in (torch.__version__, options.torch))
    if here != there:
        raise SystemExit(
            f"torch {here} is installed here, {there} on the other side; install one version in both"
        )
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = build(options.weights, read_sets(options.molecules), getattr(torch, options.precision))
    network.clock = CLOCKS[options.clock]
    for line in sys.stdin:
        answers.write(json.dumps(network.measure(Job(**json.loads(line)))) + "\n")
        answers.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--molecules", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--torch", required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--clock", choices=sorted(CLOCKS), required=True)
    return parser.parse_args()
