"""The factorised outer product against its definition."""

import pytest
import torch

from unimol2_model.pair import BilinearMap


def _materialised(a: torch.Tensor, b: torch.Tensor, norm: torch.Tensor, layer: BilinearMap) -> torch.Tensor:
    outer = torch.einsum("bic,bjd->bijcd", a, b).flatten(-2)
    return torch.nn.functional.linear(outer, layer.weight) + norm * layer.bias


@pytest.mark.parametrize(("n", "hidden", "out"), [(7, 5, 11), (1, 3, 2)])
def test_equals_the_materialised_form_in_value_and_gradient(n: int, hidden: int, out: int) -> None:
    torch.manual_seed(0)
    layer = BilinearMap("released", hidden, out).double()
    with torch.no_grad():
        layer.bias.normal_()
    a, b = (torch.randn(2, n, hidden, dtype=torch.float64, requires_grad=True) for _ in range(2))
    norm = torch.rand(2, n, n, 1, dtype=torch.float64)
    cotangent = torch.randn(2, n, n, out, dtype=torch.float64)
    results = [
        [z, *torch.autograd.grad(z, [a, b, *layer.parameters()], cotangent)]
        for z in (layer(a, b, norm), _materialised(a, b, norm, layer))
    ]
    for ours, definition in zip(*results, strict=True):
        torch.testing.assert_close(ours, definition, rtol=1e-12, atol=1e-12)
