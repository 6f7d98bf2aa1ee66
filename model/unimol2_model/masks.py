"""What is real and what is padding, in the forms that the layers need."""

from typing import NamedTuple

import torch
from torch import Tensor

from unimol2_model.config import LengthRule

# Keeps the outer product finite where there is nothing to normalise by (released code).
_OUTER_EPSILON = 1e-3


class Masks(NamedTuple):
    """Masks over N = n + 1 places: the molecule token, then the atoms. Derived once per forward pass."""

    places: Tensor
    """[B, N, 1] 1 where real."""
    pairs: Tensor
    """[B, N, N, 1] 1 where both ends are real."""
    key_mask: Tensor
    """[B, 1, 1, N] 0 where real, -inf at padding, to be added to attention logits."""
    atom_scale: Tensor
    """[B, N, 1] length^-½ where real: scales both factors of the outer product."""
    triangle_scale: Tensor
    """[B, N, N, 1] length^-½ where both ends are real: scales both factors of the triangle product."""
    outer_norm: Tensor
    """[B, N, N, 1] 1 / (1e-3 + 1/length) where both ends are real."""

    @classmethod
    def of(cls, atom_mask: Tensor, rule: LengthRule, dtype: torch.dtype) -> "Masks":
        """Derive the masks.

        Args:
            atom_mask: [B, n] bool, True at real atoms.
            rule: what the length of a molecule is: its own atoms + 1, or N.
            dtype: of the result.
        """
        real = torch.nn.functional.pad(atom_mask, (1, 0), value=True)  # (B, N)
        own = real.sum(dim=-1, dtype=torch.promote_types(dtype, torch.float32))
        length = (own if rule == "own" else torch.full_like(own, real.shape[-1])).view(-1, 1, 1)
        places = real.unsqueeze(-1)
        pairs = (places & real.unsqueeze(-2)).unsqueeze(-1)
        key_mask = torch.zeros(real.shape, dtype=dtype, device=real.device).masked_fill(~real, float("-inf"))
        return cls(
            places=places.to(dtype),
            pairs=pairs.to(dtype),
            key_mask=key_mask[:, None, None, :],
            atom_scale=(places * length.rsqrt()).to(dtype),
            triangle_scale=(pairs * length.rsqrt().unsqueeze(-1)).to(dtype),
            outer_norm=(pairs / (_OUTER_EPSILON + 1 / length.unsqueeze(-1))).to(dtype),
        )
