"""The updates of the pair track."""

import torch
from torch import Tensor, nn

from unimol2_model.config import Initialisation, ModelConfig
from unimol2_model.layers import Linear, draw_linear
from unimol2_model.masks import Masks


class BilinearMap(nn.Module):
    """z_ij = W (a_i ⊗ b_j), contracted one side at a time.

    The released code builds a_i ⊗ b_j, [B, N, N, h²], before it multiplies by W. Contracting W with b first
    takes N·P·h² + N²·P·h multiplications instead of N²·P·h² and never holds the outer product.

    Args:
        rule: the model's initialisation.
        hidden: width h of a and b.
        out_features: width P.
    """

    def __init__(self, rule: Initialisation, hidden: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, hidden * hidden))
        self.bias = nn.Parameter(torch.empty(out_features))
        draw_linear(self.weight, self.bias, "last", rule)

    def forward(self, a: Tensor, b: Tensor, norm: Tensor) -> Tensor:
        """Return (W (a_i ⊗ b_j) + bias)·norm_ij, [B, N, N, P].

        Args:
            a: [B, N, h], the slow index of the outer product; already normalised.
            b: [B, N, h], the fast one.
            norm: [B, N, N, 1], what the bias is multiplied by.
        """
        size, n, hidden = b.shape
        out = self.weight.shape[0]
        half = nn.functional.linear(b, self.weight.view(out * hidden, hidden))  # (B, N, P * h)
        half = half.view(size, n * out, hidden)
        z = (a @ half.transpose(1, 2)).view(size, n, n, out)
        return torch.addcmul(z, norm.to(z.dtype), self.bias.to(z.dtype))


class OuterProduct(nn.Module):
    """The atom track's contribution to the pair track."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, hidden = config.initialisation, config.pair_hidden_dim
        self.inputs = Linear(rule, config.atom_dim, (hidden, "input"), (hidden, "input"))
        self.output = BilinearMap(rule, hidden, config.pair_dim)

    def forward(self, atoms: Tensor, masks: Masks) -> Tensor:
        """Return [B, N, N, P] for atoms [B, N, D]; padded pairs get 0."""
        a, b = self.inputs.split(atoms)
        a, b = a * masks.atom_scale, b * masks.atom_scale
        # Row 0 of the norm belongs to the molecule token, so along it the norm is real wherever an atom is.
        update: Tensor = self.output(a * masks.outer_norm[:, 0], b, masks.outer_norm)
        return update


class TriangleMultiplication(nn.Module):
    """Pairs (i, j) updated from the pairs that i and j form with every third atom k, in both directions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, pair, hidden = config.initialisation, config.pair_dim, config.pair_hidden_dim
        self.projections = Linear(rule, pair, (2 * hidden, "input"), (2 * hidden, "gate"), (pair, "gate"))
        self.norm = nn.LayerNorm(hidden)
        self.output = Linear(rule, hidden, (pair, "last"))

    def forward(self, pairs: Tensor, scale: Tensor) -> Tensor:
        """Return [B, N, N, P] for the same and scale [B, N, N, 1]; the output gate has no sigmoid."""
        values, gates, output_gate = self.projections.split(pairs)
        factors = (values * scale * gates.sigmoid()).permute(0, 3, 1, 2)
        a, b = factors.chunk(2, dim=1)  # (B, h, N, N)
        triangles = a @ b.transpose(-1, -2) + a.transpose(-1, -2) @ b
        update: Tensor = self.output(self.norm(triangles.permute(0, 2, 3, 1)))
        return output_gate * update
