"""What the shards of a dataset hold: elements, energies and labels, counted batch by batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rdkit.Chem import GetPeriodicTable

from unimol2_tasks.artifacts.schemas import LABEL_PREFIX

_BATCH_ROWS = 8192
_ATOMIC_NUMBERS = 256
_MOST_BINS = 40
_DIGITS = 12
_EXACT_INTEGERS = 2.0**50
"""Below it a number and a half is a number of its own."""


def count_elements(shards: Sequence[Path]) -> tuple[dict[str, int], dict[str, int]]:
    """Atoms, and molecules that hold any, by element symbol in the order of the periodic table."""
    atoms = np.zeros(_ATOMIC_NUMBERS, np.int64)
    molecules = np.zeros(_ATOMIC_NUMBERS, np.int64)
    for batch in _batches(shards, ["tokens", "atoms"]):
        tokens = _values(batch["tokens"], "u1")
        present = np.zeros((batch.num_rows, _ATOMIC_NUMBERS), np.bool_)
        present[np.repeat(np.arange(batch.num_rows), batch["atoms"].to_numpy()), tokens] = True
        atoms += np.bincount(tokens, minlength=_ATOMIC_NUMBERS)
        molecules += present.sum(axis=0)
    return _by_symbol(atoms), _by_symbol(molecules)


def energy_ranges(shards: Sequence[Path]) -> dict[str, dict[str, float | int]]:
    """Conformers with an energy, and the lowest and highest in kcal/mol, by the method that made them.

    Force fields have different zeros, so energies of two methods are not compared; a method without
    energies is left out.
    """
    ranges: dict[str, dict[str, float | int]] = {}
    for batch in _batches(shards, ["method", "energies"]):
        for method in batch["method"].unique().to_pylist():
            chosen = batch.filter(pc.equal(batch["method"], method))
            energies = _values(chosen["energies"], "<f4")
            energies = energies[np.isfinite(energies)]
            if len(energies):
                _widen(ranges, method, energies)
    return dict(sorted(ranges.items()))


def label_summary(shards: Sequence[Path], name: str) -> dict[str, Any]:
    """One label over all molecules that have it, in its own unit.

    Args:
        shards: Of the dataset.
        name: The label, without the column's prefix.

    Returns:
        `known` (values), `mean`, `std` (of the population), `min`, `max`, `median`, `quartiles` (lower and
        upper) and `histogram` (`edges` [bins + 1], `counts` [bins]; the last bin holds its upper edge);
        None for all but `known` where no molecule has the label.
    """
    columns = [batch.column(0).drop_null().to_numpy() for batch in _batches(shards, [LABEL_PREFIX + name])]
    values = np.concatenate(columns)
    if not len(values):
        missing = ("mean", "std", "min", "max", "median", "quartiles", "histogram")
        return {"known": 0, **dict.fromkeys(missing)}
    # Scaling by a power of two changes no digit, and squares of values near 1e308 stay finite.
    exponent = int(np.frexp(np.abs(values).max())[1])
    scaled = np.ldexp(values, -exponent)
    lower, median, upper = np.quantile(scaled, (0.25, 0.5, 0.75))
    edges = _bin_edges(values)
    return {
        "known": len(values),
        "mean": _rounded(np.ldexp(scaled.mean(), exponent)),
        "std": _rounded(np.ldexp(scaled.std(), exponent)),
        "min": float(values.min()),
        "max": float(values.max()),
        "median": _rounded(np.ldexp(median, exponent)),
        "quartiles": [_rounded(np.ldexp(quartile, exponent)) for quartile in (lower, upper)],
        "histogram": {
            "edges": [_rounded(edge) for edge in edges],
            "counts": np.histogram(values, edges)[0].tolist(),
        },
    }


def _batches(shards: Sequence[Path], columns: list[str]) -> Iterator[pa.RecordBatch]:
    for path in shards:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_BATCH_ROWS, columns=columns)


def _values(column: pa.Array, dtype: str) -> NDArray[Any]:
    """The arrays of all rows, one after the other."""
    return np.frombuffer(b"".join(column.to_pylist()), dtype)


def _by_symbol(counts: NDArray[np.int64]) -> dict[str, int]:
    symbol = GetPeriodicTable().GetElementSymbol
    return {symbol(int(number)): int(counts[number]) for number in np.flatnonzero(counts)}


def _widen(ranges: dict[str, dict[str, float | int]], method: str, energies: NDArray[np.float32]) -> None:
    # Through text: the shortest digits of a single, not the longer ones of its double.
    low, high = float(str(energies.min())), float(str(energies.max()))
    seen = ranges.setdefault(method, {"conformers": 0, "min": low, "max": high})
    seen["conformers"] += len(energies)
    seen["min"], seen["max"] = min(seen["min"], low), max(seen["max"], high)


def _bin_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A bin per value for classes and small counts; else equal bins, more of them for more values."""
    low, high = float(values.min()), float(values.max())
    edges: NDArray[np.float64]
    if max(-low, high) < _EXACT_INTEGERS and high - low < _MOST_BINS and (values == np.rint(values)).all():
        edges = np.linspace(low - 0.5, high + 0.5, int(high - low) + 2)
    elif low == high:
        edges = np.nan_to_num(np.array([low - abs(low) / 2, high + abs(high) / 2]))
    else:
        bins = int(np.clip(2 * np.sqrt(len(values)), 5, _MOST_BINS))
        # Halved, for the width of a range may exceed the largest number.
        edges = 2 * np.linspace(low / 2, high / 2, bins + 1)
        edges[[0, -1]] = low, high
    return edges


def _rounded(value: np.float64) -> float:
    """Without the last digits, in which sums differ from processor to processor."""
    return float(f"{value:.{_DIGITS}g}")
