"""Conformers: ours against a bare RDKit loop, two processes against one, ours against unimol_tools 0.1.6.

On real drug-like molecules: a random sample of ../shared/data/unlabelled where that is present, else of
the embedded table. Sides take turns, molecule by molecule or block by block, so that whatever else the
machine does falls on both. Per core means per second of CPU time; rates are of the molecules for which both
sides find a conformer, and medians over the repetitions. The other molecules are listed. Two processes and
one are timed by the clock.

The bare loop is one that a chemist would write: the same embedding (ETKDGv3) and relaxation (MMFF94s, else
UFF, as many iterations, the same tolerances and seeds), and nothing else: no features, no drawing, no
energies, no pruning, no second try. unimol_tools runs its UniMolV2Feature (ETKDG, MMFF94 of at most 200
iterations), ours everything from SMILES to the record that is stored; both make one conformer. What both
sides have in common, RDKit's embedding and relaxation, is nearly all of their time.

The environment of unimol_tools is made at benchmarks/peers/unimol_tools/.venv where it is absent.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.table import Table

from benchmarks.comparison.conformer_makers import (
    PEER_ATOMS,
    Made,
    bare_loop,
    build,
    peer,
    prepare,
    sample,
)
from unimol2_tasks.chemistry.pool import map_molecules
from unimol2_tasks.chemistry.preparation import Identity, build_molecule, identify
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.params import PrepareParams

_BLOCK = 10
_SHOWN_FAILURES = 10

Side = dict[str, Made]
"""What one side made, by SMILES."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row of the table."""

    name: str
    rates: list[tuple[float, float]]
    """Molecules per second of ours and of the other side, by repetition."""
    wanted: float
    failures: tuple[dict[str, str], dict[str, str]]

    @property
    def ratio(self) -> float:
        """The median of ours / theirs."""
        return statistics.median(ours / theirs for ours, theirs in self.rates)


def main() -> None:
    """Print one table, then the molecules without a conformer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--molecules", type=int, default=500, help="to take (default: 500)")
    parser.add_argument("--conformers", type=int, default=1, help="against the bare loop (default: 1)")
    parser.add_argument("--repetitions", type=int, default=3, help="of each comparison (default: 3)")
    parser.add_argument("--without-peer", action="store_true", help="leave unimol_tools out")
    parser.add_argument("--quick", action="store_true", help="20 molecules, once: does it all work?")
    options = parser.parse_args()
    if options.quick:
        options.molecules, options.repetitions = 20, 1
    smiles = sample(options.molecules)
    comparisons = [
        against_bare_loop(smiles, options.conformers, options.repetitions),
        two_processes_against_one(smiles, options.repetitions),
    ]
    if not options.without_peer:
        comparisons.append(against_peer(smiles, options.repetitions))
    console = Console(width=100)
    title = f"{len(smiles)} drug-like molecules of at most {PEER_ATOMS} heavy atoms"
    console.print(as_table(comparisons, title))
    for comparison in comparisons:
        for side, failures in zip(("ours", "the other"), comparison.failures, strict=True):
            for smiles_text, reason in list(failures.items())[:_SHOWN_FAILURES]:
                console.print(f"{comparison.name}, {side}: {smiles_text}: {reason}", markup=False)


def against_bare_loop(smiles: list[str], conformers: int, repetitions: int) -> Comparison:
    params = PrepareParams(conformers=conformers)
    identities = identified(smiles, params)
    makers = (partial(build, params=params), partial(bare_loop, params=params))
    pairs = []
    for repetition in range(repetitions):
        pair: tuple[Side, Side] = ({}, {})
        for place, identity in enumerate(identities):
            # Who goes second finds warm caches.
            first = (place + repetition) % 2
            for side in (first, 1 - first):
                pair[side][identity.smiles] = makers[side](identity)
        pairs.append(pair)
    return compare(f"bare RDKit, {conformers} conformer(s)", pairs, wanted=0.95)


def against_peer(smiles: list[str], repetitions: int) -> Comparison:
    params = PrepareParams(conformers=1)
    pairs = []
    with peer() as ask:
        for _ in range(repetitions):
            pair: tuple[Side, Side] = ({}, {})
            for start in range(0, len(smiles), _BLOCK):
                block = smiles[start : start + _BLOCK]
                pair[1].update(zip(block, ask(block), strict=True))
                pair[0].update((text, prepare(text, params)) for text in block)
            pairs.append(pair)
    return compare("unimol_tools 0.1.6, one conformer", pairs, wanted=1.5)


def compare(name: str, pairs: list[tuple[Side, Side]], wanted: float) -> Comparison:
    """Rates over the molecules that both sides made."""
    rates = []
    for ours, theirs in pairs:
        both = [text for text in ours if ours[text][1] is None and theirs[text][1] is None]
        rates.append((rate(ours, both), rate(theirs, both)))
    return Comparison(name, rates, wanted, (failures(pairs[0][0]), failures(pairs[0][1])))


def rate(side: Side, molecules: list[str]) -> float:
    return len(molecules) / sum(side[text][0] for text in molecules)


def failures(side: Side) -> dict[str, str]:
    return {text: reason for text, (_, reason) in side.items() if reason is not None}


def identified(smiles: list[str], params: PrepareParams) -> list[Identity]:
    """The molecules that standardisation takes."""
    found = []
    for text in smiles:
        try:
            found.append(identify(text, params))
        except Rejected as rejection:
            print(f"left out: {text}: {rejection}")
    return found


def two_processes_against_one(smiles: list[str], repetitions: int) -> Comparison:
    params = PrepareParams(conformers=1)
    identities = identified(smiles, params)
    many(identities[:_BLOCK], 2, params)
    rates = []
    for _ in range(repetitions):
        one, two = (many(identities, workers, params) for workers in (1, 2))
        rates.append((two, one))
    return Comparison("one process; ours: two", rates, 1.9, ({}, {}))


def many(identities: list[Identity], workers: int, params: PrepareParams) -> float:
    """Molecules per second of the clock, in worker processes."""
    function: Callable[[Identity], object] = partial(build_molecule, params=params)
    timeout = params.conformer_timeout
    start = time.perf_counter()
    for _ in map_molecules(function, identities, workers=workers, timeout=timeout, stage="conformers"):
        pass
    return len(identities) / (time.perf_counter() - start)


def as_table(comparisons: list[Comparison], title: str) -> Table:
    table = Table("ours against", "ours", "theirs", "ratio", "wanted", "reached", "failed", title=title)
    for comparison in comparisons:
        medians = [statistics.median(side) for side in zip(*comparison.rates, strict=True)]
        table.add_row(
            comparison.name,
            *(f"{median:.1f} / s" for median in medians),
            f"{comparison.ratio:.2f}×",
            f"≥ {comparison.wanted:g}×",
            "yes" if comparison.ratio >= comparison.wanted else "no",
            " / ".join(str(len(side)) for side in comparison.failures),
        )
    return table


if __name__ == "__main__":
    main()
