import math
import operator
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice

import psutil
import pytest

from unimol2_tasks.chemistry.pool import map_molecules
from unimol2_tasks.chemistry.preparation import build_molecule, identify
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.chemistry.structure import Structure
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
    assert good.value.inchikey == last.value.inchikey
    assert isinstance(bad.result, Rejected)
    assert (bad.result.stage, bad.result.reason) == ("parse", "syntax error while parsing: CCX")
    with pytest.raises(Rejected):
        _ = bad.value


def test_time_out_rejects_the_slow_item_only() -> None:
    naps = [0.0] * 40 + [600.0] + [0.0] * 40
    outcomes = list(map_molecules(time.sleep, naps, workers=2, timeout=1.0, stage="conformers"))
    rejected = [outcome for outcome in outcomes if isinstance(outcome.result, Rejected)]
    assert [(outcome.item, str(outcome.result)) for outcome in rejected] == [
        (600.0, "conformers: gave up after 1 s (conformers)")
    ]
    assert len(outcomes) == len(naps)


def test_a_killed_process_rejects_its_item_only() -> None:
    numbers = [int(signal.SIGCONT)] * 10 + [int(signal.SIGKILL)] + [int(signal.SIGCONT)] * 10
    outcomes = list(map_molecules(signal.raise_signal, numbers, workers=1, timeout=30, stage="conformers"))
    rejected = [str(outcome.result) for outcome in outcomes if isinstance(outcome.result, Rejected)]
    assert rejected == ["conformers: its process died (conformers, exit code -9)"]
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


def _workers() -> list[psutil.Process]:
    """The processes that the fork server made."""
    servers = psutil.Process().children()
    return [worker for server in servers for worker in server.children(recursive=True)]


@pytest.mark.parametrize("taken", [3, 100])
def test_no_worker_is_left_whether_all_outcomes_were_taken_or_not(taken: int) -> None:
    outcomes = map_molecules(operator.neg, range(100), workers=2, timeout=30, stage="conformers")
    assert len(list(islice(outcomes, taken))) == taken
    started = _workers()
    assert started
    if taken == 100:
        assert next(outcomes, None) is None
    else:
        outcomes.close()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not alive


def test_every_process_computes_with_one_thread() -> None:
    question = "[pool['num_threads'] for pool in __import__('threadpoolctl').threadpool_info()]"
    outcomes = map_molecules(eval, [question], workers=1, timeout=30, stage="conformers")
    threads = next(outcomes).value
    assert threads
    assert set(threads) == {1}


def test_structures_and_identities_travel() -> None:
    params = PrepareParams(conformers=1)
    structures = [Structure("OCC"), Structure("CCN")]
    identifying = map_molecules(
        partial(identify, params=params), structures, workers=1, timeout=30, stage="standardise"
    )
    building = map_molecules(
        partial(build_molecule, params=params),
        [outcome.value for outcome in identifying],
        workers=1,
        timeout=30,
        stage="conformers",
    )
    prepared = [outcome.value for outcome in building]
    assert [molecule.smiles for molecule in prepared] == ["CCO", "CCN"]


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
