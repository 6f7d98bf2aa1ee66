"""The inputs of the two tracks."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unimol2_model.batch import VOCABULARY, MoleculeBatch
from unimol2_model.config import Initialisation, ModelConfig
from unimol2_model.layers import Embedding, GeluLinear, Linear, PooledEmbedding, learned_vector

GAUSSIANS = 128
_LARGEST_MEAN = 9.0
_STD = _LARGEST_MEAN / (GAUSSIANS - 1)
# The released code writes pi with five decimals; weights are trained against it.
_DENSITY = 1 / (math.sqrt(2 * 3.14159) * _STD)


def gaussian_means(device: torch.device | str = "cpu") -> Tensor:
    """Return the fixed means [128] of the distance Gaussians in fp32 (released code: linspace(0, 9, 128))."""
    return torch.linspace(0.0, _LARGEST_MEAN, GAUSSIANS, dtype=torch.float32, device=device)


class AtomEmbedding(nn.Module):
    """Token + eight pooled features + degree for atoms; one vector of its own for the molecule token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tokens = Embedding(VOCABULARY["tokens"], config.atom_dim)
        self.features = PooledEmbedding(VOCABULARY["atom_features"], config.atom_dim, mode="sum")
        self.degrees = Embedding(VOCABULARY["degrees"], config.atom_dim)
        self.molecule = learned_vector(config.atom_dim)

    def forward(self, batch: MoleculeBatch) -> Tensor:
        """Return [B, N, D]."""
        atoms = self.features.pool(batch.atom_features) + self.degrees(batch.degrees)
        atoms = atoms + self.tokens(batch.tokens)
        return torch.cat([self.molecule.expand(batch.size, 1, -1), atoms], dim=1)


class Geometry(NamedTuple):
    """Where the atoms of a batch are relative to each other, cut off from the gradient."""

    differences: Tensor
    """[B, n, n, 3] pos[j] - pos[i], Å."""
    distances: Tensor
    """[B, n, n] Å."""

    @classmethod
    def of(cls, positions: Tensor) -> "Geometry":
        """Derive it from positions [B, n, 3]."""
        fixed = positions.detach()
        differences = fixed.unsqueeze(1) - fixed.unsqueeze(2)
        return cls(differences, torch.linalg.vector_norm(differences, dim=-1))


class DistanceEmbedding(nn.Module):
    """128 Gaussians of a scaled distance, then Linear, GELU, Linear."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.multiplier = Embedding(VOCABULARY["pair_types"], 1)
        self.offset = Embedding(VOCABULARY["pair_types"], 1)
        self.inner = Linear(config.initialisation, GAUSSIANS, (GAUSSIANS, "before_gelu"))
        self.outer = GeluLinear(config.initialisation, GAUSSIANS, (config.pair_dim, "last"))
        self._reset_scales(config.initialisation)

    @torch.no_grad()
    def _reset_scales(self, rule: Initialisation) -> None:
        if rule == "layerwise":
            self.multiplier.weight[1:].fill_(1.0)
            self.offset.weight.zero_()

    def forward(self, distances: Tensor, pair_types: Tensor) -> Tensor:
        """Return [B, n, n, P] for distances [B, n, n] in Å and pair types [B, n, n, 2]."""
        # A bf16 distance of 8 Å is off by up to 0.03 Å, almost half a Gaussian's width.
        precise = torch.promote_types(distances.dtype, torch.float32)
        multiplier = self.multiplier(pair_types).to(precise).abs().sum(dim=-2)
        offset = self.offset(pair_types).to(precise).sum(dim=-2)
        scaled = multiplier * distances.unsqueeze(-1) + offset
        means = gaussian_means(scaled.device)
        density = torch.exp(-0.5 * ((scaled - means) / _STD) ** 2) * _DENSITY
        embedded: Tensor = self.outer(self.inner(density.to(self.offset.weight.dtype)))
        return embedded


class PairEmbedding(nn.Module):
    """Shortest path + mean of three bond features + distance; one vector at pairs with the molecule token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.path_lengths = Embedding(VOCABULARY["path_lengths"], config.pair_dim)
        self.bonds = PooledEmbedding(VOCABULARY["bond_features"], config.pair_dim, mode="mean")
        self.distance = DistanceEmbedding(config)
        self.molecule = learned_vector(config.pair_dim)

    def forward(self, batch: MoleculeBatch, distances: Tensor) -> Tensor:
        """Return [B, N, N, P] for the batch and its distances [B, n, n] in Å."""
        pairs = self.path_lengths(batch.path_lengths) + self.bonds.pool(batch.bond_features)
        pairs = pairs + self.distance(distances, batch.pair_types)
        size, n = pairs.shape[:2]
        pairs = torch.cat([self.molecule.expand(size, n, 1, -1), pairs], dim=2)
        return torch.cat([self.molecule.expand(size, 1, n + 1, -1), pairs], dim=1)
