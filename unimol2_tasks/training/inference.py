"""Outputs for many molecules: batched by size, averaged over geometries, independent of both."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model.batch import MoleculeBatch
from unimol2_model.batching import batch_by_pairs
from unimol2_tasks.datasets.molecule_files import Molecules
from unimol2_tasks.datasets.views import WHOLE, View

Network = Callable[[MoleculeBatch], torch.Tensor]

# The largest B·(n + 1)² of a forward pass. On a CPU a pass is fastest while its pair track stays in the
# caches. On a GPU the limit is memory: at the largest published width of 512 in fp32 the pair track of so
# many pairs takes 0.5 GB, and a pass holds several of that size.
_PAIRS_ON_CPU = 2**12
_PAIRS_ON_GPU = 2**18


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of the batches this process computes."""

    rank: int = 0
    ranks: int = 1


def predict_molecules(
    network: Network,
    dataset: Molecules,
    indices: NDArray[np.int64],
    batch_size: int,
    device: torch.device,
    share: Share = Share(),
    progress: Callable[[int], None] = lambda done: None,
    view: View = WHOLE,
) -> NDArray[np.float64]:
    """The network's outputs for each molecule, averaged over its geometries.

    Args:
        network: Maps a batch of B to `[B, C]`.
        dataset: Where the molecules are.
        indices: `[n]` which of them.
        batch_size: The most geometries per forward pass; large molecules share it with fewer.
        device: Where the network lives.
        share: With several ranks each fills its part and leaves zeros elsewhere, so that the sum over
            ranks is the whole; all ranks run the same number of forward passes, as ZeRO-3 needs.
        progress: Told after every pass how many of this share's geometries are done; what it raises ends
            the work.
        view: What the network sees of a molecule.

    Returns:
        `[n, C]` float64.
    """
    outputs: NDArray[np.float64] | None = None
    geometries = np.array(
        [view.geometries(int(count)) for count in dataset.conformers[indices]], dtype=np.int64
    )
    done = 0
    for places, weight in geometry_batches(geometries, dataset.atoms[indices], batch_size, device, share):
        batch = MoleculeBatch.collate(
            [view.molecule(dataset.record(int(indices[place])), k) for place, k in places]
        )
        with torch.no_grad():
            values = network(batch.to(device)).double().cpu().numpy()
        if outputs is None:
            outputs = np.zeros((len(indices), values.shape[1]))
        for (place, _), value in zip(places, values, strict=True):
            outputs[place] += weight * value / geometries[place]
        done += len(places)
        progress(done)
    if outputs is None:
        raise ValueError("no molecule to predict")
    return outputs


def geometry_batches(
    geometries: NDArray[np.int64],
    atoms: NDArray[np.integer],
    batch_size: int,
    device: torch.device,
    share: Share,
) -> Iterator[tuple[list[tuple[int, int]], float]]:
    """This share's batches of (place, geometry), small molecules first, and 0 for a repeated filler."""
    visits = [(place, k) for place, count in enumerate(geometries.tolist()) for k in range(count)]
    budget = _PAIRS_ON_CPU if device.type == "cpu" else _PAIRS_ON_GPU
    batches = [
        group[start : start + batch_size]
        for group in batch_by_pairs(np.repeat(atoms, geometries), budget)
        for start in range(0, len(group), batch_size)
    ]
    rounds = -(-len(batches) // share.ranks)
    for turn in range(rounds):
        number = turn * share.ranks + share.rank
        batch = batches[min(number, len(batches) - 1)]
        yield [visits[visit] for visit in batch], float(number < len(batches))
