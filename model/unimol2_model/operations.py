"""How many floating-point operations the network takes: what a measured speed is compared with."""

from unimol2_model.config import ModelConfig
from unimol2_model.embedding import GAUSSIANS


def forward_operations(config: ModelConfig, atoms: int) -> int:
    """Count the operations of the backbone's matrix products for one molecule, forward.

    A multiplication and its addition count as two. A training step takes three times as many: backward there
    is a product for the input and one for the weight of each forward product. Work that is repeated backward
    does not count.

    Args:
        config: the architecture.
        atoms: n, padding included.
    """
    pairs = (atoms + 1) ** 2
    kernel = atoms**2 * GAUSSIANS * (GAUSSIANS + config.pair_dim)
    block = (atoms + 1) * _per_place(config) + pairs * _per_pair(config, atoms + 1)
    return 2 * (kernel + config.blocks * block)


def _per_place(config: ModelConfig) -> int:
    """Multiplications for each of the N places in one block."""
    dim, hidden = config.atom_dim, config.pair_hidden_dim
    attention = 4 * dim**2
    transition = 2 * dim * config.ffn_dim
    outer_product = 2 * dim * hidden + config.pair_dim * hidden**2
    return attention + transition + outer_product


def _per_pair(config: ModelConfig, places: int) -> int:
    """Multiplications for each of the N² pairs in one block."""
    dim, hidden = config.pair_dim, config.pair_hidden_dim
    attention = 2 * config.atom_dim + dim * config.heads
    outer_product = dim * hidden
    triangle = dim * (4 * hidden + dim) + 2 * hidden * places + hidden * dim
    transition = 2 * dim**2
    return attention + outer_product + triangle + transition
