"""Molecules and networks that take milliseconds."""

from typing import Any

import numpy as np
import torch

from unimol2_model import ModelConfig, Molecule, UniMol2ForPretraining


def random_molecule(n: int, seed: int) -> Molecule:
    """A molecule of random features, for laws that hold whatever the features are."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(5, 10, n)
    masked = rng.random(n) < 0.3
    return Molecule(
        tokens=np.where(masked, 127, tokens),
        atom_features=rng.integers(1, 130, (n, 8)).astype(np.int16),
        degrees=rng.integers(2, 7, n),
        bond_features=rng.integers(1, 50, (n, n, 3)).astype(np.uint8),
        path_lengths=rng.integers(1, 12, (n, n)),
        pair_types=rng.integers(1, 140, (n, n, 2)),
        positions=rng.normal(scale=2.0, size=(n, 3)).astype(np.float32),
        target_tokens=np.where(masked, tokens, 0),
        target_positions=rng.normal(scale=2.0, size=(n, 3)).astype(np.float32),
    )


def random_model(**settings: Any) -> UniMol2ForPretraining:
    """A network none of whose parameters is zero, so that every path through it counts."""
    torch.manual_seed(0)
    config = ModelConfig(
        **{"blocks": 2, "atom_dim": 32, "heads": 2, "ffn_dim": 48, "pair_dim": 24, "pair_hidden_dim": 8}
        | settings
    )
    model = UniMol2ForPretraining(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def reorder(molecule: Molecule, order: np.ndarray) -> Molecule:
    """The molecule restricted to some atoms, in a new order."""
    pairs = ("bond_features", "path_lengths", "pair_types")
    arrays = {name: getattr(molecule, name) for name in Molecule.__dataclass_fields__}
    return Molecule(
        **{
            name: array[np.ix_(order, order)] if name in pairs else array[order]
            for name, array in arrays.items()
        }
    )
