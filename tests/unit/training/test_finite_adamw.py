import torch

from unimol2_tasks.training.engine import FiniteAdamW


def _weights() -> list[torch.nn.Parameter]:
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(3, 2)), torch.nn.Parameter(torch.randn(4))]


def _give_gradients(weights: list[torch.nn.Parameter], scale: float = 1.0) -> None:
    torch.manual_seed(1)
    for weight in weights:
        weight.grad = scale * torch.randn_like(weight)


def test_it_steps_as_adamw_with_clipped_gradients() -> None:
    ours, theirs = _weights(), _weights()
    finite = FiniteAdamW(ours, clip=0.5, lr=0.1)
    adamw = torch.optim.AdamW(theirs, lr=0.1)
    for scale in (1.0, 3.0, 0.01):
        _give_gradients(ours, scale)
        _give_gradients(theirs, scale)
        norm = torch.nn.utils.clip_grad_norm_(theirs, 0.5)
        finite.step()
        adamw.step()
        assert finite._global_grad_norm == float(norm)
        assert not finite.overflow
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    weights = _weights()
    optimizer = FiniteAdamW(weights, clip=1.0, lr=0.1)
    _give_gradients(weights)
    optimizer.step()
    before = [weight.detach().clone() for weight in weights]
    moments = {key: value.clone() for key, value in optimizer.state[weights[0]].items()}
    for broken in (float("nan"), float("inf")):
        _give_gradients(weights)
        assert weights[1].grad is not None
        weights[1].grad[2] = broken
        optimizer.step()
        assert optimizer.overflow
    assert all(torch.equal(weight, kept) for weight, kept in zip(weights, before, strict=True))
    assert all(torch.equal(value, moments[key]) for key, value in optimizer.state[weights[0]].items())
    _give_gradients(weights)
    optimizer.step()
    assert not optimizer.overflow
