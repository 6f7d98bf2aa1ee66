"""How many floating-point operations the network takes: what a measured or promised speed is compared with.

A multiplication and its addition count as two. Only matrix products count, and work that is repeated backward
to save memory does not. The counts are PyTorch's own (`torch.utils.flop_counter`), to the last one.
"""

from unimol2_model.batch import VOCABULARY
from unimol2_model.config import ModelConfig
from unimol2_model.embedding import GAUSSIANS

MASKED_SHARE = 0.15
"""Of the atoms in pretraining (Uni-Mol2, pretraining)."""


def forward_flops(config: ModelConfig, atoms: int, masked: int | None = None) -> int:
    """Count the operations of the pretraining network for one molecule, forward.

    A training step takes three times as many: backward there is a product for the input and one for the
    weight of each forward product.

    Args:
        config: the architecture.
        atoms: heavy atoms n of the molecule; the molecule token is added here. Under `length_rule` "padded",
            or to count what padding costs, those that it is padded to.
        masked: atoms whose element is predicted; default: 15 %, at least one.
    """
    predicted = max(1, round(MASKED_SHARE * atoms)) if masked is None else masked
    return backbone_flops(config, atoms) + 2 * (
        _position_head(config, atoms) + predicted * _atom_type_head(config)
    )


def backbone_flops(config: ModelConfig, atoms: int) -> int:
    """Count the operations of the network without a head for one molecule, forward; takes the same."""
    places = atoms + 1
    kernel = atoms**2 * GAUSSIANS * (GAUSSIANS + config.pair_dim)
    block = places * _per_place(config) + places**2 * _per_pair(config, places)
    return 2 * (kernel + config.blocks * block)


def training_flops(config: ModelConfig, atoms: int, *, checkpoint_activations: bool = False) -> int:
    """Count the operations of one molecule's part in a pretraining step, forward and backward.

    Args:
        config: the architecture.
        atoms: heavy atoms of the molecule.
        checkpoint_activations: the network runs forward a second time in the backward pass.
    """
    return (4 if checkpoint_activations else 3) * forward_flops(config, atoms)


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


def _position_head(config: ModelConfig, atoms: int) -> int:
    """Multiplications for n atoms, without the molecule token."""
    queries_keys_values = 3 * config.atom_dim**2
    logits = config.atom_dim + config.pair_dim * config.heads
    return atoms * queries_keys_values + atoms**2 * logits


def _atom_type_head(config: ModelConfig) -> int:
    """Multiplications for each masked atom."""
    return config.atom_dim * (config.atom_dim + VOCABULARY["tokens"])
