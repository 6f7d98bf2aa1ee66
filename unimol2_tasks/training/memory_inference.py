"""What a predictor or model says of molecules in memory: predictions of all members, or representations.

The same for whoever asks, the job of a command or a notebook.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from unimol2_model import UniMol2Backbone
from unimol2_tasks.datasets.molecule_files import MoleculeList
from unimol2_tasks.datasets.views import View
from unimol2_tasks.training.atom_embeddings import embed_atoms
from unimol2_tasks.training.inference import predict_molecules
from unimol2_tasks.training.network import TARGETS, load_predictor, load_pretrained

Wanted = Literal["predict", "embed", "embed-atoms"]


class Scoring(Protocol):
    """Computes the values of molecules."""

    def __call__(
        self, molecules: MoleculeList, progress: Callable[[float], None] = ..., /
    ) -> NDArray[np.floating]:
        """Return `[n, ...]`, or for atoms `[atoms of all, D]`; tells `progress` which share is done."""


def scoring(wanted: str, folder: Path, batch_size: int, device: torch.device | None = None) -> Scoring:
    """Load what is needed to compute values.

    Args:
        wanted: One of `Wanted`.
        folder: A predictor; for embeddings a pretrained model, or a predictor of a single training.
        batch_size: The most conformers per forward pass.
        device: Where to compute; none: a GPU where there is one.

    Returns:
        For predict: of n molecules `[n, M, C]` float64, of M members in label units. For embed:
        `[n, 1, D]` float64, the molecule token of the last block. For embed-atoms: `[atoms of all, D]`
        float32, the atoms of the last block, molecule by molecule in stored order. All are averaged over
        the conformers.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "predict":
        return _predictions(folder, batch_size, device)
    backbone, view = _backbone(folder)
    backbone.to(device)
    if wanted == "embed":
        return _embeddings(backbone, view, batch_size, device)

    def score(molecules: MoleculeList, progress: Callable[[float], None] = _ignore) -> NDArray[np.floating]:
        return embed_atoms(backbone, molecules, batch_size, device, view, progress)

    return score


def _ignore(share: float) -> None:
    """Nobody wants to know."""


def _tell(progress: Callable[[float], None], before: int, total: int, done: int) -> None:
    progress((before + done) / total)


def _predictions(folder: Path, batch_size: int, device: torch.device) -> Scoring:
    members, targets = load_predictor(folder)
    networks = [network.to(device) for network in members.values()]

    def score(molecules: MoleculeList, progress: Callable[[float], None] = _ignore) -> NDArray[np.floating]:
        visits = _visits(molecules, targets.view)
        values = [
            predict_molecules(
                network,
                molecules,
                np.arange(len(molecules)),
                batch_size,
                device,
                progress=partial(_tell, progress, visits * k, visits * len(networks)),
                view=targets.view,
            )
            for k, network in enumerate(networks)
        ]
        return np.stack([targets.to_natural(member) for member in values], axis=1)

    return score


def _embeddings(backbone: UniMol2Backbone, view: View, batch_size: int, device: torch.device) -> Scoring:
    def score(molecules: MoleculeList, progress: Callable[[float], None] = _ignore) -> NDArray[np.floating]:
        visits = _visits(molecules, view)
        values = predict_molecules(
            backbone.embed,
            molecules,
            np.arange(len(molecules)),
            batch_size,
            device,
            progress=partial(_tell, progress, 0, visits),
            view=view,
        )
        return values[:, None]

    return score


def _visits(molecules: MoleculeList, view: View) -> int:
    return sum(view.geometries(int(count)) for count in molecules.conformers)


def _backbone(folder: Path) -> tuple[UniMol2Backbone, View]:
    """The two tracks of a pretrained model or of a predictor, and what they are to see of a molecule."""
    if not (folder / TARGETS).is_file():
        return load_pretrained(folder).backbone, View()
    members, targets = load_predictor(folder)
    (network,) = members.values()
    return network.backbone, targets.view
