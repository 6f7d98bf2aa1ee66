import math
import operator
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import psutil
import pytest

from unimol2_tasks.chemistry.pool import map_molecules
from unimol2_tasks.chemistry.preparation import identify
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.params import PrepareParams

# Functions of the standard library: worker processes must be able to import them.


def test_results_come_in_input_order() -> None:
    outcomes = list(map_molecules(operator.neg, range(1000), workers=2, timeout=30, stage="conformers"))
    assert [outcome.item for outcome in outcomes] == list(range(1000))
    assert [outcome.value for outcome in outcomes] == [-number for number in range(1000)]


def test_a_rejected_item_does_not_disturb_its_neighbours() -> None:
    function = partial(identify, params=PrepareParams())
    good, bad, last = map_molecules(
        function, ["CCO", "CCX", "OCC"], workers=1, timeout=30, stage="standardise"
    )
    assert good.value == last.value
    assert isinstance(bad.result, Rejected)
    assert (bad.result.stage, bad.result.reason) == ("parse", "syntax error while parsing: CCX")
    with pytest.raises(Rejected):
        _ = bad.value


def test_time_out_rejects_the_slow_item_only() -> None:
    naps = [0.0] * 40 + [600.0] + [0.0] * 40
    outcomes = list(map_molecules(time.sleep, naps, workers=2, timeout=1.0, stage="conformers"))
    rejected = [outcome for outcome in outcomes if isinstance(outcome.result, Rejected)]
    assert [(outcome.item, str(outcome.result)) for outcome in rejected] == [
        (600.0, "conformers: gave up after 1 s")
    ]
    assert len(outcomes) == len(naps)


def test_a_killed_process_rejects_its_item_only() -> None:
    numbers = [int(signal.SIGCONT)] * 10 + [int(signal.SIGKILL)] + [int(signal.SIGCONT)] * 10
    outcomes = list(map_molecules(signal.raise_signal, numbers, workers=1, timeout=30, stage="conformers"))
    rejected = [str(outcome.result) for outcome in outcomes if isinstance(outcome.result, Rejected)]
    assert rejected == ["conformers: its process died (exit code -9)"]
    assert isinstance(outcomes[10].result, Rejected)


def test_a_bug_is_not_a_reject() -> None:
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        list(map_molecules(math.sqrt, [1.0, -1.0], workers=1, timeout=30, stage="conformers"))


def test_only_a_few_items_are_taken_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(10**9):
            taken += 1
            yield number

    outcomes = map_molecules(operator.neg, items(), workers=1, timeout=30, stage="conformers")
    next(outcomes)
    outcomes.close()
    assert taken < 100


def test_nothing_survives_a_killed_caller() -> None:
    code = (
        "import time; from unimol2_tasks.chemistry.pool import map_molecules\n"
        "if __name__ == '__main__':\n"
        "    list(map_molecules(time.sleep, [600.0], workers=1, timeout=600, stage='conformers'))\n"
    )
    caller = psutil.Process(subprocess.Popen([sys.executable, "-c", code]).pid)
    while len(children := caller.children(recursive=True)) < 3:  # resource tracker, fork server, worker
        time.sleep(0.05)
    caller.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
