"""UniMolV2Feature of unimol_tools as it is, to be measured; runs in an environment of its own.

A line of JSON on stdin holds a list of SMILES; the line on stdout that answers it holds, for each of them,
the CPU seconds that it took and why it failed, or null. It wants a working directory of its own, since
unimol_tools puts a log there.
"""

import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

import numpy as np
from unimol_tools.data.conformer import UniMolV2Feature  # type: ignore[import-not-found]

VERSION = "0.1.6"


def main() -> None:
    """Answer until stdin ends."""
    # Whatever a library prints must not look like an answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if version("unimol_tools") != VERSION:
        raise SystemExit(f"unimol_tools {version('unimol_tools')} is installed; expected {VERSION}")
    # Its defaults, the seed 42 among them, in this process alone.
    features = UniMolV2Feature(multi_process=False)
    # Compiles its shortest paths and fills RDKit's caches.
    make(features, "CCO")
    for line in sys.stdin:
        answers.write(json.dumps([make(features, smiles) for smiles in json.loads(line)]) + "\n")
        answers.flush()


def make(features: Any, smiles: str) -> tuple[float, str | None]:
    """One molecule."""
    start = time.process_time()
    failure = None
    try:
        values, _mol = features.single_process(smiles)
    except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
        return time.process_time() - start, f"{type(error).__name__}: {error}"
    seconds = time.process_time() - start
    positions = np.asarray(values["src_coord"])
    if not positions.any():
        failure = "zeros"
    elif len(positions) > 1 and not positions[:, 2].any():
        failure = "a flat drawing instead"
    return seconds, failure


if __name__ == "__main__":
    main()
