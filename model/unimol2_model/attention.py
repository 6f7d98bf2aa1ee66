"""Attention over atoms with a bias from the pair track."""

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from unimol2_model.config import Initialisation, ModelConfig
from unimol2_model.kernels import linear
from unimol2_model.layers import Linear, NormedLinear, draw_linear


class PairBias(nn.Module):
    """A linear map of the pair track to one attention logit per head, heads first.

    Args:
        rule: the model's initialisation.
        pair_dim: width P.
        heads: number of heads H.
    """

    def __init__(self, rule: Initialisation, pair_dim: int, heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, pair_dim))
        self.bias = nn.Parameter(torch.empty(heads))
        draw_linear(self.weight, self.bias, "input", rule)

    def forward(self, pairs: Tensor, key_mask: Tensor) -> Tensor:
        """Return [B, H, N, N] for pairs [B, N, N, P] and the key mask [B, 1, 1, N] that is added."""
        return linear(pairs, self.weight, self.bias).permute(0, 3, 1, 2) + key_mask


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Return [B, H, N, D / H] for [B, N, D]."""
    return x.view(*x.shape[:-1], heads, -1).transpose(1, 2)


class SelfAttention(nn.Module):
    """LayerNorm, then multi-head attention without a gate; logits are q·k / √(head width) + pair bias."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, dim = config.initialisation, config.atom_dim
        self.heads = config.heads
        self.dropout = config.attention_dropout
        self.qkv = NormedLinear(
            rule, dim, (dim, "attention"), (dim, "attention"), (dim, "attention"), bias=False
        )
        self.pair_bias = PairBias(rule, config.pair_dim, config.heads)
        self.out = Linear(rule, dim, (dim, "last"))

    def forward(self, atoms: Tensor, pairs: Tensor, key_mask: Tensor) -> Tensor:
        """Return [B, N, D] for atoms [B, N, D], pairs [B, N, N, P] and the key mask [B, 1, 1, N]."""
        query, key, value = (split_heads(x, self.heads) for x in self.qkv.split(atoms))
        mixed = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=self.pair_bias(pairs, key_mask).to(query.dtype),
            dropout_p=self.dropout if self.training else 0.0,
        )
        update: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return update
