"""Operations that repeat work backward, against the formulas that they stand for."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from unimol2_model import kernels
from unimol2_model.kernels import add_dropout, bilinear, gelu_linear, linear, normed_linear, recomputed


def _random(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def _normed(x: Tensor, gain: Tensor, shift: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.linear(functional.layer_norm(x, x.shape[-1:], gain, shift), weight, bias)


def _outer(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    return functional.linear(torch.einsum("bic,bjd->bijcd", a, b).flatten(-2), weight)


def _gated(gate: Tensor, x: Tensor) -> Tensor:
    return gate.sigmoid() * x


def _inputs(name: str) -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    x, weight, bias = _random(2, 3, 5), _random(4, 5), _random(4)
    return {
        "linear": (x, weight, bias),
        "gelu_linear": (x, weight, bias),
        "normed_linear": (x, _random(5), _random(5), weight, bias),
        "bilinear": (_random(2, 3, 4), _random(2, 3, 4), _random(5, 16)),
        "recomputed": (_random(2, 3), _random(2, 3)),
    }[name]


FORMULAS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "linear": (linear, functional.linear),
    "gelu_linear": (gelu_linear, lambda x, weight, bias: functional.linear(functional.gelu(x), weight, bias)),
    "normed_linear": (normed_linear, _normed),
    "bilinear": (bilinear, _outer),
    "recomputed": (lambda *inputs: recomputed(_gated, *inputs), _gated),
}


@pytest.fixture(params=["oneDNN", "PyTorch"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With oneDNN's matrix linear, and on a PyTorch that lacks it."""
    if request.param == "oneDNN" and not kernels._onednn():
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(kernels, "_onednn", lambda: request.param == "oneDNN")


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.usefixtures("products")
def test_value_and_gradients_are_those_of_the_formula(name: str, dtype: torch.dtype) -> None:
    ours, formula = FORMULAS[name]
    inputs = [tensor.detach().to(dtype).requires_grad_() for tensor in _inputs(name)]
    results = [ours(*inputs), formula(*inputs)]
    direction = torch.randn_like(results[0])
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(*results, rtol=tolerance, atol=tolerance)
    gradients = [torch.autograd.grad(result, inputs, direction) for result in results]
    torch.testing.assert_close(*gradients, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", FORMULAS)
def test_frozen_inputs_get_no_gradient(name: str) -> None:
    first, *others = _inputs(name)
    frozen = [tensor.detach() for tensor in others]
    FORMULAS[name][0](first, *frozen).sum().backward()
    assert first.grad is not None
    assert all(tensor.grad is None for tensor in frozen)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_second_derivative_is_refused_rather_than_wrong(name: str) -> None:
    inputs = _inputs(name)
    (slope,) = torch.autograd.grad(FORMULAS[name][0](*inputs).square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_only_inputs_are_kept_for_the_backward_pass() -> None:
    kept: set[int] = set()

    def note(tensor: Tensor) -> Tensor:
        kept.add(tensor.untyped_storage().data_ptr())
        return tensor

    for name, (ours, _) in FORMULAS.items():
        inputs = _inputs(name)
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            result = ours(*inputs)
        assert kept <= {tensor.untyped_storage().data_ptr() for tensor in inputs}, name
        assert result.requires_grad


def test_an_empty_batch_of_rows_has_an_empty_product() -> None:
    x, weight = _random(0, 5, dtype=torch.float32), _random(4, 5, dtype=torch.float32)
    result = linear(x, weight, None)
    result.sum().backward()
    assert result.shape == (0, 4)
    assert weight.grad is not None
    assert not weight.grad.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("probability", [0.1, 0.25])
def test_dropped_entries_are_zero_and_the_others_scaled_up(dtype: torch.dtype, probability: float) -> None:
    torch.manual_seed(0)
    x, update = torch.zeros(3, 40_001, dtype=dtype), torch.ones(3, 40_001, dtype=dtype, requires_grad=True)
    result = add_dropout(x, update, probability)
    assert result.unique().tolist() == pytest.approx([0, 1 / (1 - probability)], rel=5e-3)
    share = (result == 0).float().mean(dim=1)
    assert share.tolist() == pytest.approx([probability] * 3, abs=0.008)
    result.sum().backward()
    torch.testing.assert_close(update.grad, result)


def test_dropout_repeats_with_the_seed_and_only_then() -> None:
    x, update = torch.zeros(1000), torch.ones(1000)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(add_dropout(x, update, 0.5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(add_dropout(x, update, 0.0), update)
