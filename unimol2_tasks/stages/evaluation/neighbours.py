"""The training molecule that is most like each judged molecule."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unimol2_tasks.chemistry.applicability import TRAINING, TrainingSet
from unimol2_tasks.datasets.dataset import MoleculeDataset
from unimol2_tasks.stages.evaluation.asked import Array
from unimol2_tasks.stages.evaluation.candidates import Candidate
from unimol2_tasks.stages.evaluation.judged import Judged


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The nearest training molecule of each judged molecule.

    Attributes:
        similarity: `[m]` Tanimoto similarity of Morgan fingerprints.
        ids: `[m]` its name.
        positions: `[m]` where it is in the dataset; -1 where the predictor was trained on another one, or
            where several molecules of the dataset have this name.
    """

    similarity: Array
    ids: list[str]
    positions: NDArray[np.int64]


def neighbours(predictor: Candidate, judged: Judged) -> Neighbours:
    """Find them; a network that tests a fold was trained on neither this one nor the next.

    Raises:
        ArtifactError: The predictor does not say what it was trained on.
    """
    training = TrainingSet.read(predictor.path / TRAINING)
    positions = np.full(len(training.ids), -1)
    if predictor.is_own:
        positions = _positions(training, judged.dataset)
    similarity, nearest = np.zeros(len(judged.indices)), np.zeros(len(judged.indices), np.int64)
    smiles = np.array(judged.smiles, object)
    for part, _ in judged.parts:
        rows = np.arange(len(training.ids))
        if predictor.is_cross_validated:
            rows = np.flatnonzero(_trains(judged.dataset, positions, int(judged.dataset.folds[part[0]])))
        seen = TrainingSet(training.fingerprints[rows], tuple(training.ids[row] for row in rows))
        here = judged.places(part)
        found, place = seen.nearest(smiles[here].tolist())
        # In double precision 0.7 of single precision would be below 0.7.
        similarity[here], nearest[here] = np.round(found.astype(np.float64), 6), rows[place]
    return Neighbours(similarity, [training.ids[row] for row in nearest], positions[nearest])


def _positions(training: TrainingSet, dataset: MoleculeDataset) -> NDArray[np.int64]:
    names = [dataset.id(index) for index in range(len(dataset))]
    counts = Counter(names)
    places = {name: index for index, name in enumerate(names) if counts[name] == 1}
    return np.array([places.get(name, -1) for name in training.ids], np.int64)


def _trains(dataset: MoleculeDataset, positions: NDArray[np.int64], tested: int) -> NDArray[np.bool_]:
    folds = dataset.folds[positions].astype(int)
    return ~np.isin(folds, [tested, (tested + 1) % (int(dataset.folds.max()) + 1)])
