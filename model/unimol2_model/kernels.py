"""The network's few heavy operations, keeping little for the backward pass.

Most of what autograd would keep of a block is cheap to compute again: normalised inputs, activations,
gates. The functions here keep their inputs and repeat that work backward; products of large matrices are not
repeated. `torch.compile` makes such choices itself, and autocast casts by its own rules, so under both the
plain formulas run.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu, layer_norm

LAYER_NORM_EPSILON = 1e-5
_WORDS_PER_DRAW = 4
_VALUES_OF_A_WORD = 2**16

Formula = Callable[..., Tensor]


class _Context(Protocol):
    """What autograd hands to both passes of a function."""

    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]
    formula: Formula
    scale: float

    def save_for_backward(self, *tensors: Tensor) -> None: ...


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return x Wᵀ + bias, [..., out] for x [..., in], weight [out, in] and bias [out] or None."""
    return _linear_of(_unchanged, weight, bias, x)


def normed_linear(
    x: Tensor, norm_weight: Tensor, norm_bias: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Return LayerNorm(x) Wᵀ + bias, [..., out] for x [..., in]; keeps x."""
    return _linear_of(_normed, weight, bias, x, norm_weight, norm_bias)


def gelu_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return GELU(x) Wᵀ + bias, [..., out] for x [..., in]; keeps x."""
    return _linear_of(gelu, weight, bias, x)


def recomputed(formula: Formula, *inputs: Tensor) -> Tensor:
    """Return formula(*inputs), keeping the inputs only: the whole formula runs again backward."""
    if _plain(inputs[0]):
        return formula(*inputs)
    return _apply(_Recomputed, formula, *inputs)


def times(x: Tensor, *factors: Tensor) -> Tensor:
    """Return the product of all, entry by entry; in x's own memory where no gradient is recorded."""
    for factor in factors:
        x = x * factor if torch.is_grad_enabled() else x.mul_(factor)
    return x


def bilinear(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Return z_ij = W (a_i ⊗ b_j), [B, N, N, P], without ever holding a_i ⊗ b_j, [B, N, N, h²].

    The released code builds the outer product before it multiplies by W. Contracting W with b first takes
    N·P·h² + N²·P·h multiplications instead of N²·P·h².

    Args:
        a: [B, N, h], the slow index of the outer product.
        b: [B, N, h], the fast one.
        weight: [P, h²].
    """
    if _plain(a):
        return _bilinear(a, b, weight)
    return _apply(_Bilinear, a, b, weight)


def add_dropout(x: Tensor, update: Tensor, probability: float) -> Tensor:
    """Return x + dropout(update), of one shape.

    On a CPU each 64-bit draw decides four entries, and one byte per entry is kept; PyTorch's own dropout
    takes a draw and keeps a number for each. The probability is rounded to a multiple of 2⁻¹⁶.
    """
    if probability == 0 or update.device.type != "cpu" or _plain(update):
        return x + torch.nn.functional.dropout(update, probability)
    return _apply(_AddDropout, x, update, probability)


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)  # type: ignore[no-untyped-call]
    return result


def _plain(x: Tensor) -> bool:
    device = x.device.type
    autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.compiler.is_compiling() or autocast


def _unchanged(x: Tensor) -> Tensor:
    return x


def _normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return layer_norm(x, x.shape[-1:], weight, bias, LAYER_NORM_EPSILON)


def _linear_of(formula: Formula, weight: Tensor, bias: Tensor | None, *inputs: Tensor) -> Tensor:
    if _plain(inputs[0]):
        return torch.nn.functional.linear(formula(*inputs), weight, bias)
    return _apply(_LinearOf, formula, weight, bias, *inputs)


def _matmul(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x Wᵀ + bias; in fp32 on a CPU by oneDNN, which was 1.2 times as fast as MKL."""
    if not _plain(x) and x.device.type == "cpu" and x.dtype == torch.float32 and x.numel() and _onednn():
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return result
    return torch.nn.functional.linear(x, weight, bias)


@cache
def _onednn() -> bool:
    # What torch.compile makes of linear layers on a CPU; not documented, so it may be absent one day.
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _leaves(inputs: tuple[Tensor, ...], needed: tuple[bool, ...]) -> list[Tensor]:
    return [tensor.detach().requires_grad_(need) for tensor, need in zip(inputs, needed, strict=True)]


def _pull_back(output: Tensor, leaves: list[Tensor], grad: Tensor) -> list[Tensor | None]:
    """The gradients of the leaves that need one, None for the others."""
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    found = iter(torch.autograd.grad(output, wanted, grad) if wanted else ())
    return [next(found) if leaf.requires_grad else None for leaf in leaves]


class _LinearOf(torch.autograd.Function):
    """formula(*inputs) Wᵀ + bias; the formula runs again backward, the product does not."""

    @staticmethod
    def forward(
        ctx: _Context, formula: Formula, weight: Tensor, bias: Tensor | None, *inputs: Tensor
    ) -> Tensor:
        ctx.formula = formula
        ctx.save_for_backward(weight, *inputs)
        return _matmul(formula(*inputs), weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, *inputs = ctx.saved_tensors
        _, weight_needed, bias_needed, *inputs_needed = ctx.needs_input_grad
        rows = grad.flatten(end_dim=-2)
        with torch.enable_grad():
            leaves = _leaves(tuple(inputs), tuple(inputs_needed))
            x = ctx.formula(*leaves)
        grads = (
            _pull_back(x, leaves, _matmul(grad, weight.t())) if any(inputs_needed) else [None] * len(inputs)
        )
        return (
            None,
            rows.t() @ x.detach().flatten(end_dim=-2) if weight_needed else None,
            rows.sum(dim=0) if bias_needed else None,
            *grads,
        )


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, formula: Formula, *inputs: Tensor) -> Tensor:
        ctx.formula = formula
        ctx.save_for_backward(*inputs)
        return formula(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        with torch.enable_grad():
            leaves = _leaves(ctx.saved_tensors, ctx.needs_input_grad[1:])
            output = ctx.formula(*leaves)
        return None, *_pull_back(output, leaves, grad)


def _bilinear(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    size, n, hidden = b.shape
    contracted = _contracted(b, weight).view(size, -1, hidden)  # (B, N * P, h)
    return (a @ contracted.transpose(1, 2)).view(size, n, n, -1)


def _contracted(b: Tensor, weight: Tensor) -> Tensor:
    return _matmul(b, weight.view(-1, b.shape[-1]))  # (B, N, P * h)


class _Bilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(a, b, weight)
        return _bilinear(a, b, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, weight = ctx.saved_tensors
        size, n, hidden = b.shape
        rows = grad.reshape(size, n, -1)  # (B, N, N * P)
        contracted = _contracted(b, weight).view(size, -1, hidden)
        grad_a = rows @ contracted
        grad_contracted = (rows.transpose(1, 2) @ a).view(size * n, -1)  # (B * N, P * h)
        grad_b = _matmul(grad_contracted, weight.view(-1, hidden).t()).view_as(b)
        grad_weight = (grad_contracted.t() @ b.flatten(end_dim=1)).view_as(weight)
        return grad_a, grad_b, grad_weight


class _AddDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, x: Tensor, update: Tensor, probability: float) -> Tensor:
        threshold = round(probability * _VALUES_OF_A_WORD)
        kept = torch.empty(update.shape, dtype=torch.uint8)
        torch.ge(
            _random_words(update.numel()).view(update.shape), threshold - _VALUES_OF_A_WORD // 2, out=kept
        )
        ctx.scale = 1 / (1 - threshold / _VALUES_OF_A_WORD)
        ctx.save_for_backward(kept)
        return torch.addcmul(x, update, kept.to(update.dtype), value=ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        (kept,) = ctx.saved_tensors
        return grad, kept.to(grad.dtype).mul_(ctx.scale).mul_(grad), None


def _random_words(count: int) -> Tensor:
    """Return int16 values, all equally likely; numpy's generator is three times as fast as PyTorch's."""
    generator = np.random.SFC64(int(torch.randint(2**63 - 1, ())))
    draws = generator.random_raw(-(-count // _WORDS_PER_DRAW))
    return torch.from_numpy(draws.view(np.int16)[:count])
