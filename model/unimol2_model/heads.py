"""What is read off the two tracks."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from unimol2_model.attention import PairBias, split_heads
from unimol2_model.batch import VOCABULARY
from unimol2_model.config import ModelConfig
from unimol2_model.layers import GeluLinear, Linear, NormedLinear, draw_linear


class PositionHead(nn.Module):
    """A displacement per atom: attention over the differences to the other atoms' positions.

    The released code weights the differences per head and channel, [B, H, 3, n, n], and then contracts the
    values with one direction. Since that is linear, the values are contracted first here, which leaves one
    weight per pair of atoms.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, dim = config.initialisation, config.atom_dim
        self.heads = config.heads
        self.pair_norm = nn.LayerNorm(config.pair_dim)
        self.qkv = NormedLinear(
            rule, dim, (dim, "attention"), (dim, "attention"), (dim, "attention"), bias=False
        )
        self.pair_bias = PairBias(rule, config.pair_dim, config.heads)
        self.direction = nn.Parameter(torch.empty(1, dim))
        draw_linear(self.direction, None, "last", rule)
        self.dropout = nn.Dropout(config.attention_dropout)

    def forward(self, atoms: Tensor, pairs: Tensor, key_mask: Tensor, differences: Tensor) -> Tensor:
        """Return displacements [B, n, 3] in Å, in at least fp32.

        Args:
            atoms: [B, n, D], without the molecule token.
            pairs: [B, n, n, P], without it.
            key_mask: [B, 1, 1, n], 0 at real atoms and -inf at padding.
            differences: [B, n, n, 3], pos[j] - pos[i] in Å.
        """
        query, key, value = self.qkv.split(atoms)
        precise = torch.promote_types(value.dtype, torch.float32)
        query, key = split_heads(query, self.heads), split_heads(key, self.heads)
        scaled = query * query.shape[-1] ** -0.5
        logits = scaled @ key.transpose(-1, -2) + self.pair_bias(self.pair_norm(pairs), key_mask)
        attention = self.dropout(logits.to(precise).softmax(dim=-1))  # (B, H, n, n)
        pull = split_heads(value.to(precise) * self.direction.to(precise), self.heads).sum(
            dim=-1
        )  # (B, H, n)
        weights = (attention * pull.unsqueeze(-2)).sum(dim=1)  # (B, n, n)
        displacements: Tensor = (weights.unsqueeze(-1) * differences).sum(dim=2)
        return displacements


class AtomTypeHead(nn.Module):
    """Logits over the 128 tokens."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, dim = config.initialisation, config.atom_dim
        self.inner = NormedLinear(rule, dim, (dim, "before_gelu"))
        self.outer = GeluLinear(rule, dim, (VOCABULARY["tokens"], "input"))

    def forward(self, atoms: Tensor) -> Tensor:
        """Return [M, 128] for M atoms [M, D]."""
        logits: Tensor = self.outer(self.inner(atoms))
        return logits


class PropertyHead(nn.Module):
    """Dropout, Linear, tanh, dropout, Linear on the molecule token (released code).

    Args:
        config: the architecture.
        outputs: number of properties.
        dropout: probability, at both places.
    """

    def __init__(self, config: ModelConfig, outputs: int, dropout: float) -> None:
        super().__init__()
        rule, dim = config.initialisation, config.atom_dim
        self.inner = Linear(rule, dim, (dim, "input"))
        # Not zero at the start, though that would begin at the mean of the labels: it learns more slowly.
        self.outer = Linear(rule, dim, (outputs, "input"))
        self.dropout = nn.Dropout(dropout)

    def forward(self, molecules: Tensor) -> Tensor:
        """Return [B, outputs] for molecule tokens [B, D]."""
        predicted: Tensor = self.outer(self.dropout(self.inner(self.dropout(molecules)).tanh()))
        return predicted

    @torch.no_grad()
    def rescale(self, scale: Tensor, shift: Tensor) -> None:
        """From now on return what was returned, times `scale` [outputs], plus `shift` [outputs]."""
        self.outer.weight.mul_(scale.unsqueeze(-1))
        self.outer.bias.mul_(scale).add_(shift)


class MultitaskHead(nn.Module):
    """A `PropertyHead` of its own for each label: they share the backbone and nothing after it.

    In the released head all labels are read off the same D hidden features; here each label has D of its own
    (hard parameter sharing, Caruana, 1997), which costs D·(D + 2) parameters per label.

    Args:
        config: the architecture.
        outputs: number of outputs of each label.
        dropout: probability, as in `PropertyHead`.
    """

    def __init__(self, config: ModelConfig, outputs: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.outputs = tuple(outputs)
        self.labels = nn.ModuleList([PropertyHead(config, count, dropout) for count in outputs])

    def forward(self, molecules: Tensor) -> Tensor:
        """Return [B, sum of outputs] for molecule tokens [B, D]."""
        return torch.cat([label(molecules) for label in self.labels], dim=-1)

    def rescale(self, scale: Tensor, shift: Tensor) -> None:
        """As `PropertyHead.rescale`; both [sum of outputs]."""
        begin = 0
        for label, count in zip(self.labels, self.outputs, strict=True):
            columns = slice(begin, begin + count)
            cast(PropertyHead, label).rescale(scale[columns], shift[columns])
            begin += count
