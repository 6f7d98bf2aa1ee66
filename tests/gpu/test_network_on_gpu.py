"""The network on a CUDA device gives the numbers that it gives on a CPU."""

from collections.abc import Iterator

import pytest
import torch
from small_networks import random_model, random_molecule

from unimol2_model import MoleculeBatch, UniMol2ForPretraining

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
SIZES = (9, 1, 5, 30)


@pytest.fixture(autouse=True)
def full_fp32() -> Iterator[None]:
    """Products in fp32, not in TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def _batch() -> MoleculeBatch:
    return MoleculeBatch.collate([random_molecule(n, seed=n) for n in SIZES], buckets=[32])


def _gradients(model: UniMol2ForPretraining, batch: MoleculeBatch) -> torch.Tensor:
    model.loss(batch).total.backward()
    return torch.cat([p.grad.flatten().cpu() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_outputs_and_gradients_agree_with_the_cpu(compiled: bool) -> None:
    ours, theirs = random_model().cuda(), random_model()
    if compiled:
        for block in ours.backbone.blocks:
            block.compile(dynamic=False)
    with torch.no_grad():
        for on_gpu, on_cpu in zip(ours(_batch().to("cuda")), theirs(_batch()), strict=True):
            torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-4, atol=1e-4 * float(on_cpu.abs().max()))
    expected = _gradients(theirs, _batch())
    actual = _gradients(ours, _batch().to("cuda"))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_finite_and_near_fp32(dtype: torch.dtype) -> None:
    batch = _batch().to("cuda")
    expected = random_model().cuda().loss(batch).total.item()
    model = random_model().cuda().to(dtype).train()
    loss = model.eval().loss(batch).total
    loss.backward()
    assert loss.item() == pytest.approx(expected, rel=0.05)
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_dropout_drops_its_share() -> None:
    model = random_model(dropout=0.5).cuda().train()
    residual = model.backbone.blocks[0].residual
    update = torch.ones(200, 1000, device="cuda")
    share = (residual(torch.zeros_like(update), update) == 0).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.01)
