"""What the pretraining losses are for who knows nothing but which elements are common.

A run has learned something where its validation losses, on the very same samples, are below these.
"""

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model.batch import VOCABULARY, MoleculeBatch
from unimol2_model.pretraining import PretrainingOutput, masked_accuracy, pretraining_loss
from unimol2_tasks.datasets.collation import LabelledBatch
from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.datasets.order import Visit

_COUNTED_MOLECULES = 20_000


class Samples(Protocol):
    """Makes a batch from visits, as `PretrainingSamples` does."""

    def __getitem__(self, visits: list[Visit], /) -> LabelledBatch: ...


def element_counts(
    dataset: MoleculeDataset, indices: NDArray[np.int64], limit: int = _COUNTED_MOLECULES
) -> NDArray[np.int64]:
    """How many atoms of each token, `[128]`, the molecules at `indices` hold.

    Args:
        dataset: Where they are.
        indices: `[n]` their places, those of the training split.
        limit: Of more molecules, as many are counted, evenly spaced: shares of elements need no more.
    """
    counts = np.zeros(VOCABULARY["tokens"], dtype=np.int64)
    for index in indices[:: max(1, -(-len(indices) // limit))]:
        counts += np.bincount(dataset.record(int(index)).tokens, minlength=len(counts))
    return counts


def loss_floors(
    samples: Samples, batches: Iterable[list[Visit]], counts: NDArray[np.int64]
) -> dict[str, float]:
    """The validation losses of a network that guesses elements by their shares and moves no atom.

    Args:
        samples: Makes the corrupted batches.
        batches: The visits of the validation batches; how they are cut does not matter.
        counts: `[128]` from `element_counts` of the training molecules. An element that it lacks counts as
            seen once, else its cross-entropy would be infinite.

    Returns:
        Means over molecules, as validation gives them: `floor/atom_type` (nats), `floor/coordinate` and
        `floor/distance` (Å), and `floor/accuracy`, the share of a molecule's masked atoms that are of the
        commonest element.

    Raises:
        ValueError: There is no batch.
    """
    logits = torch.from_numpy(np.log(np.maximum(counts, 1)))
    names = ("atom_type", "accuracy", "coordinate", "distance")
    sums, molecules = torch.zeros(len(names), dtype=torch.float64), 0
    for visits in batches:
        batch = samples[visits].molecules
        output = _guess(batch, logits)
        losses = pretraining_loss(output, batch)
        means = (losses.atom_type, masked_accuracy(output, batch), losses.coordinate, losses.distance)
        sums += torch.stack(means).double() * batch.size
        molecules += batch.size
    if not molecules:
        raise ValueError("batches: the floors of no molecule are not defined; give at least one batch")
    return {f"floor/{name}": float(total) / molecules for name, total in zip(names, sums, strict=True)}


def _guess(batch: MoleculeBatch, logits: torch.Tensor) -> PretrainingOutput:
    """What a network would give that predicts every masked atom by `logits` and leaves positions alone."""
    if batch.target_tokens is None:
        raise ValueError("target_tokens: the floors need molecules that carry targets")
    masked = int((batch.target_tokens != 0).sum())
    nothing = batch.positions.new_empty(0)
    return PretrainingOutput(nothing, nothing, batch.positions, logits.expand(masked, -1))
