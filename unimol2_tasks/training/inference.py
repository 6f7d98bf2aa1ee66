"""Outputs for many molecules: batched by size, averaged over conformers, independent of both."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model.batch import MoleculeBatch
from unimol2_model.batching import batch_by_pairs
from unimol2_tasks.datasets.dataset import MoleculeDataset

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
    dataset: MoleculeDataset,
    indices: NDArray[np.int64],
    batch_size: int,
    device: torch.device,
    share: Share = Share(),
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float64]:
    """The network's outputs for each molecule, averaged over its stored conformers.

    Args:
        network: Maps a batch of B to `[B, T]`.
        dataset: Where the molecules are.
        indices: `[n]` which of them.
        batch_size: The most conformers per forward pass; large molecules share it with fewer.
        device: Where the network lives.
        share: With several ranks each fills its part and leaves zeros elsewhere, so that the sum over
            ranks is the whole; all ranks run the same number of forward passes, as ZeRO-3 needs.
        progress: Told how many of this share's molecules are done.

    Returns:
        `[n, T]` float64.
    """
    outputs: NDArray[np.float64] | None = None
    done = 0
    for places, weight in _batches(dataset, indices, batch_size, device, share):
        batch = MoleculeBatch.collate(
            [dataset.record(int(indices[place])).molecule(conformer=k) for place, k in places]
        )
        with torch.no_grad():
            values = network(batch.to(device)).double().cpu().numpy()
        if outputs is None:
            outputs = np.zeros((len(indices), values.shape[1]))
        for (place, _), value in zip(places, values, strict=True):
            outputs[place] += weight * value / dataset.conformers[indices[place]]
        done += len(places)
        progress(done)
    if outputs is None:
        raise ValueError("no molecule to predict")
    return outputs


def _batches(
    dataset: MoleculeDataset,
    indices: NDArray[np.int64],
    batch_size: int,
    device: torch.device,
    share: Share,
) -> Iterator[tuple[list[tuple[int, int]], float]]:
    """This share's batches of (place, conformer), small molecules first, and 0 for a repeated filler."""
    conformers = dataset.conformers[indices]
    visits = [(place, k) for place, count in enumerate(conformers.tolist()) for k in range(count)]
    atoms = np.repeat(dataset.atoms[indices], conformers)
    budget = _PAIRS_ON_CPU if device.type == "cpu" else _PAIRS_ON_GPU
    batches = [
        group[start : start + batch_size]
        for group in batch_by_pairs(atoms, budget)
        for start in range(0, len(group), batch_size)
    ]
    rounds = -(-len(batches) // share.ranks)
    for turn in range(rounds):
        number = turn * share.ranks + share.rank
        batch = batches[min(number, len(batches) - 1)]
        yield [visits[visit] for visit in batch], float(number < len(batches))
