"""Representations of single atoms, averaged over a molecule's conformers."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model import UniMol2Backbone
from unimol2_model.batch import MoleculeBatch
from unimol2_tasks.datasets.molecule_files import MoleculeList
from unimol2_tasks.datasets.views import View
from unimol2_tasks.training.inference import Share, geometry_batches


def embed_atoms(
    backbone: UniMol2Backbone,
    molecules: MoleculeList,
    batch_size: int,
    device: torch.device,
    view: View,
    progress: Callable[[float], None],
) -> NDArray[np.float32]:
    """The atom track after the last block, without the molecule token.

    Args:
        backbone: On `device`.
        molecules: n of them.
        batch_size: The most conformers per forward pass; large molecules share it with fewer.
        device: Where to compute.
        view: What the network sees of a molecule.
        progress: Told which share is done.

    Returns:
        `[atoms of all molecules, D]`: molecule by molecule, the atoms in stored order.
    """
    starts = np.cumsum([0, *molecules.atoms])
    geometries = np.array([view.geometries(int(count)) for count in molecules.conformers])
    # Twice the room of the result, because sums in single precision would depend on their order.
    sums = np.zeros((int(starts[-1]), backbone.config.atom_dim))
    done = 0
    for visits, _ in geometry_batches(geometries, molecules.atoms, batch_size, device, Share()):
        batch = MoleculeBatch.collate([view.molecule(molecules.record(place), k) for place, k in visits])
        with torch.no_grad():
            atoms = backbone(batch.to(device)).atoms[:, 1:].double().cpu().numpy()
        for (place, _), values in zip(visits, atoms, strict=True):
            sums[starts[place] : starts[place + 1]] += values[: molecules.atoms[place]] / geometries[place]
        done += len(visits)
        progress(done / int(geometries.sum()))
    return sums.astype(np.float32)
