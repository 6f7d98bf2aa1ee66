"""The updates of the pair track."""

import torch
from torch import Tensor, nn

from unimol2_model.config import Initialisation, ModelConfig
from unimol2_model.kernels import bilinear, normed_linear, recomputed, times
from unimol2_model.layers import NormedLinear, draw_linear
from unimol2_model.masks import Masks


class BilinearMap(nn.Module):
    """z_ij = W (a_i ⊗ b_j) + bias·norm_ij, contracted one side at a time.

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
        """Return [B, N, N, P].

        Args:
            a: [B, N, h], the slow index of the outer product; already normalised.
            b: [B, N, h], the fast one.
            norm: [B, N, N, 1], what the bias is multiplied by; of the product itself it is a's part.
        """
        z = bilinear(a, b, self.weight)
        offset = (norm.to(z.dtype), self.bias.to(z.dtype))
        return torch.addcmul(z, *offset) if torch.is_grad_enabled() else z.addcmul_(*offset)


class OuterProduct(nn.Module):
    """LayerNorm, then the atom track's contribution to the pair track."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, hidden = config.initialisation, config.pair_hidden_dim
        self.inputs = NormedLinear(rule, config.atom_dim, (hidden, "input"), (hidden, "input"))
        self.output = BilinearMap(rule, hidden, config.pair_dim)

    def forward(self, atoms: Tensor, masks: Masks) -> Tensor:
        """Return [B, N, N, P] for atoms [B, N, D]; padded pairs get 0."""
        a, b = self.inputs.split(atoms)
        a, b = a * masks.atom_scale, b * masks.atom_scale
        # Row 0 of the norm belongs to the molecule token, so along it the norm is real wherever an atom is.
        update: Tensor = self.output(a * masks.outer_norm[:, 0], b, masks.outer_norm)
        return update


class GatedOutput(NormedLinear):
    """LayerNorm and a linear map, times a gate without a sigmoid."""

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:  # type: ignore[override]
        """Return [..., out] for x [..., in] and gate [..., out]."""
        return recomputed(_gated, gate, x, self.norm_weight, self.norm_bias, self.weight, self.bias)


def _gated(gate: Tensor, *inputs: Tensor) -> Tensor:
    return times(normed_linear(*inputs), gate)


class TriangleMultiplication(nn.Module):
    """LayerNorm, then (i, j) from the pairs of i and of j with every third atom k, in both directions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        rule, pair, hidden = config.initialisation, config.pair_dim, config.pair_hidden_dim
        self.projections = NormedLinear(
            rule, pair, (2 * hidden, "input"), (2 * hidden, "gate"), (pair, "gate")
        )
        self.output = GatedOutput(rule, hidden, (pair, "last"))

    def forward(self, pairs: Tensor, scale: Tensor) -> Tensor:
        """Return [B, N, N, P] for the same and scale [B, N, N, 1]."""
        values, gates, output_gate = self.projections.split(pairs)
        triangles = recomputed(_triangles, values, gates, scale)  # (B, N, N, h)
        update: Tensor = self.output(triangles, output_gate)
        return update


def _triangles(values: Tensor, gates: Tensor, scale: Tensor) -> Tensor:
    """Return Σ_k a_ik·b_jk + a_ki·b_kj, [B, N, N, h]; a and b halve the gated values [B, N, N, 2h]."""
    size, n = values.shape[:2]
    factors = times(gates.sigmoid(), values, scale).view(size, n, n, 2, -1)
    a, b = factors.permute(3, 0, 4, 1, 2).flatten(1, 2)  # each (B * h, N, N)
    triangles = torch.baddbmm(a @ b.mT, a.mT, b)
    return triangles.view(size, -1, n, n).permute(0, 2, 3, 1)
