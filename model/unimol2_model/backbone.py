"""The two-track network without a head."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from unimol2_model.attention import SelfAttention
from unimol2_model.batch import MoleculeBatch
from unimol2_model.config import ModelConfig
from unimol2_model.embedding import AtomEmbedding, Geometry, PairEmbedding
from unimol2_model.layers import Transition
from unimol2_model.masks import Masks
from unimol2_model.pair import OuterProduct, TriangleMultiplication


class BackboneOutput(NamedTuple):
    """The two tracks after the last block; zero at padding."""

    atoms: Tensor
    """[B, N, D], molecule token first."""
    pairs: Tensor
    """[B, N, N, P]."""

    @property
    def molecules(self) -> Tensor:
        """[B, D], the molecule token: one embedding per molecule."""
        return self.atoms[:, 0]


class Block(nn.Module):
    """One pre-norm block of both tracks."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, dim, pair_dim = config.initialisation, config.atom_dim, config.pair_dim
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(config)
        self.atom_transition_norm = nn.LayerNorm(dim)
        self.atom_transition = Transition(rule, dim, config.ffn_dim, config.activation_dropout)
        self.outer_product_norm = nn.LayerNorm(dim)
        self.outer_product = OuterProduct(config)
        self.triangle_norm = nn.LayerNorm(pair_dim)
        self.triangle = TriangleMultiplication(config)
        self.pair_transition_norm = nn.LayerNorm(pair_dim)
        self.pair_transition = Transition(rule, pair_dim, pair_dim, config.activation_dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.row_dropout = RowDropout(config.pair_dropout)

    def forward(self, atoms: Tensor, pairs: Tensor, masks: Masks) -> tuple[Tensor, Tensor]:
        """Return the updated atoms [B, N, D] and pairs [B, N, N, P]."""
        atoms = atoms + self.dropout(self.attention(self.attention_norm(atoms), pairs, masks.keys))
        atoms = atoms + self.dropout(self.atom_transition(self.atom_transition_norm(atoms)))
        pairs = pairs + self.dropout(self.outer_product(self.outer_product_norm(atoms), masks))
        pairs = pairs + self.row_dropout(self.triangle(self.triangle_norm(pairs), masks.triangle_scale))
        pairs = pairs + self.dropout(self.pair_transition(self.pair_transition_norm(pairs)))
        return atoms, pairs


class RowDropout(nn.Module):
    """Dropout whose choice is shared by all i of the pairs (i, j)."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, pairs: Tensor) -> Tensor:
        """Return [B, N, N, P] for the same."""
        if not self.training or self.probability == 0:
            return pairs
        kept = pairs.new_ones(pairs.shape[0], 1, *pairs.shape[2:])
        return pairs * nn.functional.dropout(kept, self.probability)


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
        atoms = self.atom_norm(self.atom_embedding(batch))
        pairs = self.pair_norm(self.pair_embedding(batch, geometry.distances))
        masks = Masks.of(batch.atom_mask, self.config.length_rule, atoms.dtype)
        for block in self.blocks:
            if self.checkpoint_activations and torch.is_grad_enabled():
                atoms, pairs = checkpoint(block, atoms, pairs, masks, use_reentrant=False)
            else:
                atoms, pairs = block(atoms, pairs, masks)
        return BackboneOutput(atoms * masks.places, pairs * masks.pairs)
