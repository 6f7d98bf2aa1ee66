"""The network with its pretraining heads, and the pretraining loss."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from unimol2_model.backbone import UniMol2Backbone
from unimol2_model.batch import MoleculeBatch
from unimol2_model.config import ModelConfig
from unimol2_model.embedding import Geometry
from unimol2_model.heads import AtomTypeHead, PositionHead
from unimol2_model.molecule import MASK_TOKEN


class PretrainingOutput(NamedTuple):
    """Representations and predictions; zero at padding."""

    atoms: Tensor
    """[B, N, D], molecule token first."""
    pairs: Tensor
    """[B, N, N, P]."""
    positions: Tensor
    """[B, n, 3] predicted coordinates in Å, in at least fp32."""
    atom_logits: Tensor
    """[M, 128] for the M masked atoms of the batch, molecule by molecule."""


class PretrainingLoss(NamedTuple):
    """The loss of every molecule of a batch, fp32, and its mean over the molecules.

    A molecule's loss is a mean over its own atoms, so it depends neither on padding nor on neighbours; the
    loss of a large batch is the mean over its parts, weighted by their numbers of molecules.
    """

    atom_type_per_molecule: Tensor
    """[B] cross-entropy, mean over the molecule's masked atoms; 0 where it has none."""
    coordinate_per_molecule: Tensor
    """[B] absolute error in Å, summed over x, y, z and averaged over atoms."""
    distance_per_molecule: Tensor
    """[B] absolute error in Å, mean over all n² ordered pairs of atoms."""

    @property
    def per_molecule(self) -> Tensor:
        """[B] the sum of the three terms, each with weight 1 (Uni-Mol2, pretraining)."""
        return self.atom_type_per_molecule + self.coordinate_per_molecule + self.distance_per_molecule

    @property
    def total(self) -> Tensor:
        """The sum of the three terms: what is minimised."""
        return self.per_molecule.mean()

    @property
    def atom_type(self) -> Tensor:
        """Cross-entropy of masked atom types."""
        return self.atom_type_per_molecule.mean()

    @property
    def coordinate(self) -> Tensor:
        """Absolute coordinate error per atom, Å."""
        return self.coordinate_per_molecule.mean()

    @property
    def distance(self) -> Tensor:
        """Absolute distance error per pair, Å."""
        return self.distance_per_molecule.mean()


class UniMol2ForPretraining(nn.Module):
    """Uni-Mol2 with the heads that predict masked atom types and clean coordinates.

    Args:
        config: the architecture.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = UniMol2Backbone(config)
        self.position_head = PositionHead(config)
        self.atom_type_head = AtomTypeHead(config)

    def forward(self, batch: MoleculeBatch) -> PretrainingOutput:
        """Represent the batch and undo its corruption.

        Masked are the atoms that have a target token or, in a batch without targets, those with token 127.
        """
        geometry = Geometry.of(batch.positions)
        atoms, pairs = self.backbone(batch, geometry)
        key_mask = torch.zeros_like(batch.atom_mask, dtype=atoms.dtype).masked_fill(
            ~batch.atom_mask, float("-inf")
        )
        displacements = self.position_head(
            atoms[:, 1:], pairs[:, 1:, 1:], key_mask[:, None, None, :], geometry.differences
        )
        positions = batch.positions + displacements * batch.atom_mask.unsqueeze(-1)
        atom_logits = self.atom_type_head(atoms[:, 1:][_masked_atoms(batch)])
        return PretrainingOutput(atoms, pairs, positions, atom_logits)

    def loss(self, batch: MoleculeBatch) -> PretrainingLoss:
        """Return the pretraining loss of a batch with targets.

        Raises:
            ValueError: the batch has no targets.
        """
        return pretraining_loss(self(batch), batch)


def pretraining_loss(output: PretrainingOutput, batch: MoleculeBatch) -> PretrainingLoss:
    """Compare predictions with a batch's targets.

    Raises:
        ValueError: the batch has no targets.
    """
    if batch.target_tokens is None or batch.target_positions is None:
        absent = "target_tokens" if batch.target_tokens is None else "target_positions"
        raise ValueError(f"{absent}: the pretraining loss needs molecules that carry targets")
    return PretrainingLoss(
        _atom_type_loss(output.atom_logits, batch.target_tokens),
        _coordinate_loss(output.positions, batch.target_positions, batch.atom_mask),
        _distance_loss(output.positions, batch.target_positions, batch.atom_mask),
    )


def masked_accuracy(output: PretrainingOutput, batch: MoleculeBatch) -> Tensor:
    """Share of a molecule's masked atoms whose element is the most probable one, as the mean over molecules.

    Raises:
        ValueError: the batch has no targets.
    """
    if batch.target_tokens is None:
        raise ValueError("target_tokens: the accuracy needs molecules that carry targets")
    masked = batch.target_tokens != 0
    right = (output.atom_logits.argmax(dim=-1) == batch.target_tokens[masked]).float()
    per_atom = right.new_zeros(masked.shape).masked_scatter(masked, right)
    return (per_atom.sum(dim=-1) / masked.sum(dim=-1).clamp(min=1)).mean()


def _masked_atoms(batch: MoleculeBatch) -> Tensor:
    return batch.tokens == MASK_TOKEN if batch.target_tokens is None else batch.target_tokens != 0


def _atom_type_loss(logits: Tensor, targets: Tensor) -> Tensor:
    masked = targets != 0
    errors = nn.functional.cross_entropy(logits.float(), targets[masked], reduction="none")
    # Scattering to distinct places is deterministic on a GPU; adding per molecule by index is not.
    per_atom = errors.new_zeros(targets.shape).masked_scatter(masked, errors)
    return per_atom.sum(dim=-1) / masked.sum(dim=-1).clamp(min=1)


def _coordinate_loss(predicted: Tensor, target: Tensor, atom_mask: Tensor) -> Tensor:
    errors = (predicted - target).abs().sum(dim=-1) * atom_mask
    return errors.sum(dim=-1) / atom_mask.sum(dim=-1)


def _distance_loss(predicted: Tensor, target: Tensor, atom_mask: Tensor) -> Tensor:
    pair_mask = atom_mask.unsqueeze(-1) & atom_mask.unsqueeze(-2)
    errors = (_distances(predicted) - _distances(target)).abs() * pair_mask
    return errors.sum(dim=(-1, -2)) / pair_mask.sum(dim=(-1, -2))


def _distances(positions: Tensor) -> Tensor:
    distances: Tensor = torch.linalg.vector_norm(positions.unsqueeze(1) - positions.unsqueeze(2), dim=-1)
    return distances
