"""Linear and embedding layers that know how they start."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from unimol2_model.config import Initialisation
from unimol2_model.kernels import add_dropout, gelu_linear, linear, normed_linear

Role = Literal["input", "before_gelu", "attention", "gate", "last"]
"""What a linear layer is for, which decides its layer-by-layer starting values."""

_RELEASED_STD = 0.02
# Standard deviation of N(0, 1) cut off at ±2.
_TRUNCATED_STD = 0.87962566103423978


class Linear(nn.Linear):
    """One or several linear maps of the same input, evaluated as one matrix product.

    Args:
        rule: the model's initialisation.
        in_features: width of the input.
        parts: width and role of each map, in the order in which their outputs are concatenated.
        bias: whether the maps have an offset.
    """

    def __init__(
        self, rule: Initialisation, in_features: int, *parts: tuple[int, Role], bias: bool = True
    ) -> None:
        self.widths = [width for width, _ in parts]
        self._rule: Initialisation = rule
        self._roles = [role for _, role in parts]
        super().__init__(in_features, sum(self.widths), bias=bias)

    def reset_parameters(self) -> None:
        """Draw starting values, each part by its role."""
        weights = torch.split(self.weight, self.widths)
        biases = [None] * len(self.widths) if self.bias is None else torch.split(self.bias, self.widths)
        for weight, bias, role in zip(weights, biases, self._roles, strict=True):
            draw_linear(weight, bias, role, self._rule)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., sum of widths] for [..., in]."""
        return linear(x, self.weight, self.bias)

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of `x` one by one, each [..., width]."""
        return torch.split(self(x), self.widths, dim=-1)


class NormedLinear(Linear):
    """LayerNorm, then one or several linear maps; takes what `Linear` takes."""

    def __init__(
        self, rule: Initialisation, in_features: int, *parts: tuple[int, Role], bias: bool = True
    ) -> None:
        super().__init__(rule, in_features, *parts, bias=bias)
        self.norm_weight = nn.Parameter(torch.ones(in_features))
        self.norm_bias = nn.Parameter(torch.zeros(in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., sum of widths] for [..., in]."""
        return normed_linear(x, self.norm_weight, self.norm_bias, self.weight, self.bias)


class GeluLinear(Linear):
    """GELU, then dropout, then one linear map.

    Args:
        rule: the model's initialisation.
        in_features: width of the input.
        part: width and role of the map.
        dropout: probability after the GELU.
    """

    def __init__(
        self, rule: Initialisation, in_features: int, part: tuple[int, Role], dropout: float = 0.0
    ) -> None:
        super().__init__(rule, in_features, part)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., out] for [..., in]."""
        if self.training and self.dropout:
            active = nn.functional.dropout(nn.functional.gelu(x), self.dropout)
            return linear(active, self.weight, self.bias)
        return gelu_linear(x, self.weight, self.bias)


@torch.no_grad()
def draw_linear(weight: Tensor, bias: Tensor | None, role: Role, rule: Initialisation) -> None:
    """Fill a linear layer's values in place.

    "layerwise" is what the released code asks for layer by layer: truncated normal of variance 1/fan-in,
    2/fan-in before a GELU, Glorot for queries, keys and values, open gates, and zero for the last layer of a
    residual branch. "released" is what its constructor ends with: N(0, 0.02), zero offsets, for all of them.
    """
    if bias is not None:
        bias.fill_(1.0 if role == "gate" and rule == "layerwise" else 0.0)
    if rule == "released":
        nn.init.normal_(weight, std=_RELEASED_STD)
    elif role == "attention":
        nn.init.xavier_uniform_(weight)
    elif role in ("gate", "last"):
        nn.init.zeros_(weight)
    else:
        variance = (2.0 if role == "before_gelu" else 1.0) / weight.shape[-1]
        std = math.sqrt(variance) / _TRUNCATED_STD
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


class Embedding(nn.Embedding):
    """An embedding that starts at N(0, 0.02); row 0 is padding, starts at zero and stays there."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__(rows, width, padding_idx=0)

    def reset_parameters(self) -> None:
        """Draw starting values."""
        _draw_embedding(self.weight)


class PooledEmbedding(nn.EmbeddingBag):
    """Several indices of one shared embedding, pooled without holding each one's vector."""

    def __init__(self, rows: int, width: int, mode: Literal["sum", "mean"]) -> None:
        super().__init__(rows, width, mode=mode, padding_idx=0)

    def reset_parameters(self) -> None:
        """Draw starting values."""
        _draw_embedding(self.weight)

    def pool(self, indices: Tensor) -> Tensor:
        """Return [..., width] for indices [..., k]."""
        pooled: Tensor = self(indices.flatten(end_dim=-2))
        return pooled.view(*indices.shape[:-1], self.embedding_dim)


@torch.no_grad()
def _draw_embedding(weight: Tensor) -> None:
    nn.init.normal_(weight, std=_RELEASED_STD)
    weight[0].zero_()


def learned_vector(width: int) -> nn.Parameter:
    """Return one learned vector [1, width] that starts at N(0, 0.02)."""
    return nn.Parameter(nn.init.normal_(torch.empty(1, width), std=_RELEASED_STD))


class Residual(nn.Module):
    """A residual sum with dropout on the update; under `torch.inference_mode` it takes the update's memory.

    Args:
        probability: of an entry of the update to be dropped in training.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor, update: Tensor) -> Tensor:
        """Return x + update, of one shape."""
        if self.training:
            return add_dropout(x, update, self.probability)
        return update.add_(x) if torch.is_inference_mode_enabled() else x + update


class Transition(nn.Module):
    """LayerNorm, Linear, GELU, Linear: the feed-forward branch of either track.

    Args:
        rule: the model's initialisation.
        width: width of input and output.
        hidden: width in between.
        dropout: probability after the GELU.
    """

    def __init__(self, rule: Initialisation, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.inner = NormedLinear(rule, width, (hidden, "before_gelu"))
        self.outer = GeluLinear(rule, hidden, (width, "last"), dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., width] for [..., width]."""
        updated: Tensor = self.outer(self.inner(x))
        return updated
