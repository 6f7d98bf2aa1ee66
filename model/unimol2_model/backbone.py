"""The two-track network without a head."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unimol2_model.attention import SelfAttention
from unimol2_model.batch import MoleculeBatch
from unimol2_model.config import ModelConfig
from unimol2_model.embedding import AtomEmbedding, Geometry, PairEmbedding
from unimol2_model.layers import Residual, Transition
from unimol2_model.masks import Masks
from unimol2_model.pair import OuterProduct, TriangleMultiplication


class BackboneOutput(NamedTuple):
    """The two tracks after the last block; zero at padding."""

    atoms: Tensor
    """[B, N, D], molecule token first."""
    pairs: Tensor
    """[B, N, N, P]."""


class Block(nn.Module):
    """One block of both tracks; each of its five branches begins with a LayerNorm (Uni-Mol2, figure 2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, dim, pair_dim = config.initialisation, config.atom_dim, config.pair_dim
        self.attention = SelfAttention(config)
        self.atom_transition = Transition(rule, dim, config.ffn_dim, config.activation_dropout)
        self.outer_product = OuterProduct(config)
        self.triangle = TriangleMultiplication(config)
        self.pair_transition = Transition(rule, pair_dim, pair_dim, config.activation_dropout)
        self.residual = Residual(config.dropout)
        self.row_residual = RowResidual(config.pair_dropout)

    def forward(
        self, atoms: Tensor, pairs: Tensor, masks: Masks, pairs_wanted: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Return the updated atoms [B, N, D] and pairs [B, N, N, P], these as they were if unwanted."""
        atoms = self.residual(atoms, self.attention(atoms, pairs, masks.key_mask))
        atoms = self.residual(atoms, self.atom_transition(atoms))
        if pairs_wanted:
            pairs = self.residual(pairs, self.outer_product(atoms, masks))
            pairs = self.row_residual(pairs, self.triangle(pairs, masks.triangle_scale))
            pairs = self.residual(pairs, self.pair_transition(pairs))
        return atoms, pairs


class RowResidual(Residual):
    """A residual sum with dropout whose choice is shared by all i of the pairs (i, j)."""

    def forward(self, pairs: Tensor, update: Tensor) -> Tensor:
        """Return pairs [B, N, N, P] + update [B, N, N, P]."""
        if not self.training or self.probability == 0:
            return super().forward(pairs, update)
        kept = pairs.new_ones(pairs.shape[0], 1, *pairs.shape[2:])
        return torch.addcmul(pairs, update, nn.functional.dropout(kept, self.probability))


class UniMol2Backbone(nn.Module):
    """Uni-Mol2's atom and pair tracks.

    Args:
        config: the architecture.

    Attributes:
        checkpoint_activations: recompute each block in the backward pass instead of keeping its activations.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_activations = False
        self.atom_embedding = AtomEmbedding(config)
        self.pair_embedding = PairEmbedding(config)
        self.atom_norm = nn.LayerNorm(config.atom_dim)
        self.pair_norm = nn.LayerNorm(config.pair_dim)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.blocks)])

    def forward(self, batch: MoleculeBatch, geometry: Geometry | None = None) -> BackboneOutput:
        """Represent every atom, every pair and every molecule.

        Args:
            batch: B molecules.
            geometry: of the batch's positions, where the caller has it already.
        """
        geometry = Geometry.of(batch.positions) if geometry is None else geometry
        atoms, pairs, masks = self._run_blocks(batch, geometry, pairs_wanted=True)
        return BackboneOutput(atoms * masks.places, pairs * masks.pairs)

    def embed(self, batch: MoleculeBatch) -> Tensor:
        """Return the molecule token [B, D], one embedding per molecule.

        The last block's pair update, which it does not depend on, is left out.
        """
        atoms, _, _ = self._run_blocks(batch, Geometry.of(batch.positions), pairs_wanted=False)
        return atoms[:, 0]

    def _run_blocks(
        self, batch: MoleculeBatch, geometry: Geometry, pairs_wanted: bool
    ) -> tuple[Tensor, Tensor, Masks]:
        atoms = self.atom_norm(self.atom_embedding(batch))
        pairs = self.pair_norm(self.pair_embedding(batch, geometry.distances))
        masks = Masks.of(batch.atom_mask, self.config.length_rule, atoms.dtype)
        last = len(self.blocks) - 1
        for place, block in enumerate(self.blocks):
            wanted = pairs_wanted or place < last
            if self.checkpoint_activations and torch.is_grad_enabled():
                atoms, pairs = checkpoint(block, atoms, pairs, masks, wanted, use_reentrant=False)
            else:
                atoms, pairs = block(atoms, pairs, masks, wanted)
        return atoms, pairs, masks
