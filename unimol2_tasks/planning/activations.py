"""Memory of what the backward pass needs from the forward pass.

The terms are the tensors that autograd keeps, read off on a CPU with
`torch.autograd.graph.saved_tensors_hooks` at small sizes; tests compare them at others. Nothing of it was
measured on a GPU, whose fused attention keeps less than the one of a CPU, which is counted here. A compiled
network chooses for itself what to keep.
"""

from unimol2_model import ModelConfig
from unimol2_model.embedding import GAUSSIANS
from unimol2_tasks.planning.states import BYTES_PER_NUMBER, Precision

_FULL = BYTES_PER_NUMBER["fp32"]
_INDEX_BYTES = 150
"""Per pair of atoms: path length, bond features, pair types, differences and distances of the batch."""
_WORKING_TENSORS = 2.5
"""Tensors of the size of the pair track that the backward pass of a block makes beyond what is kept; 0.9 to
2.2 were measured, by precision and width."""


def activation_bytes(
    config: ModelConfig, atoms: int, precision: Precision, *, checkpoint_activations: bool = False
) -> int:
    """Count the bytes that one molecule takes at the peak of a pretraining step.

    Args:
        config: the architecture.
        atoms: heavy atoms, padding included.
        precision: of training.
        checkpoint_activations: each block's activations are made again when they are needed.
    """
    one_block = _block(config, atoms, precision)
    kept = kept_bytes(config, atoms, precision, checkpoint_activations=checkpoint_activations)
    again = one_block if checkpoint_activations else 0
    return kept + again + _working(config, atoms, precision)


def kept_bytes(
    config: ModelConfig, atoms: int, precision: Precision, *, checkpoint_activations: bool = False
) -> int:
    """Count the bytes that autograd keeps of one molecule between forward and backward; takes the same."""
    inputs = _pair_track(config, atoms, precision) + _atom_track(config, atoms, precision)
    each = inputs if checkpoint_activations else _block(config, atoms, precision)
    return _embedding(config, atoms, precision) + config.blocks * each + _heads(config, atoms, precision)


def _working(config: ModelConfig, atoms: int, precision: Precision) -> int:
    """What the backward pass of a block makes on top of what is kept.

    Most of it at the block's end; for small molecules of a wide network in the outer product, for which the
    activations of the later branches make room.
    """
    number, places = BYTES_PER_NUMBER[precision], atoms + 1
    pair_dim, hidden = config.pair_dim, config.pair_hidden_dim
    at_the_end = int(_WORKING_TENSORS * _pair_track(config, atoms, precision))
    contracted = 2 * number * places * pair_dim * hidden
    released = number * places**2 * (3 * pair_dim + 5 * hidden)
    return max(at_the_end, _pair_track(config, atoms, precision) + contracted - released)


def _pair_track(config: ModelConfig, atoms: int, precision: Precision) -> int:
    return BYTES_PER_NUMBER[precision] * (atoms + 1) ** 2 * config.pair_dim


def _atom_track(config: ModelConfig, atoms: int, precision: Precision) -> int:
    return BYTES_PER_NUMBER[precision] * (atoms + 1) * config.atom_dim


def _block(config: ModelConfig, atoms: int, precision: Precision) -> int:
    number, places = BYTES_PER_NUMBER[precision], atoms + 1
    dim, pair_dim, hidden = config.atom_dim, config.pair_dim, config.pair_hidden_dim
    masks = 1 if config.dropout else 0  # bytes: one per entry of a branch with dropout
    # The track before each of three branches, the transition's hidden layer and the output gate are P wide.
    per_pair = number * (5 * pair_dim + 5 * hidden) + 2 * masks * pair_dim + _attention(config)
    row_mask = number * pair_dim if config.pair_dropout else 0
    # Queries, keys and values are kept in fp32 by the attention of a CPU.
    atom_track = number * (3 * dim + config.ffn_dim + 2 * hidden) + _FULL * 3 * dim
    return places**2 * per_pair + places * (atom_track + row_mask + 2 * masks * dim)


def _attention(config: ModelConfig) -> int:
    """Bytes per pair of one attention: its weights and, with dropout, which are kept and the result."""
    return _FULL * config.heads * (3 if config.attention_dropout else 1)


def _embedding(config: ModelConfig, atoms: int, precision: Precision) -> int:
    gaussians = 2 * GAUSSIANS * (_FULL + BYTES_PER_NUMBER[precision])
    tracks = _pair_track(config, atoms, precision) + _atom_track(config, atoms, precision)
    return tracks + atoms**2 * (gaussians + _INDEX_BYTES)


def _heads(config: ModelConfig, atoms: int, precision: Precision) -> int:
    """The last state of the pair track, also normed, and the position head's attention."""
    number = BYTES_PER_NUMBER[precision]
    normed = atoms**2 * (number * config.pair_dim + _attention(config))
    return _pair_track(config, atoms, precision) + normed + atoms * number * 6 * config.atom_dim
