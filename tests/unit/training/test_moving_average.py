from types import SimpleNamespace
from typing import Any

import pytest
import torch

from unimol2_tasks.training.moving_average import MovingAverage

DECAY = 0.75


@pytest.fixture
def engine() -> Any:
    """What a moving average sees of an engine that divides nothing."""
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    return SimpleNamespace(module=module, optimizer=torch.optim.SGD(module.parameters(), lr=0.1))


def _average(engine: Any) -> MovingAverage:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    return MovingAverage(engine, network, DECAY)


def _change(engine: Any) -> None:
    with torch.no_grad():
        for weight in engine.module.parameters():
            weight.add_(torch.randn_like(weight))


def test_the_average_is_that_of_the_weights_of_all_steps(engine: Any) -> None:
    average = _average(engine)
    expected = engine.module[0].weight.detach().clone()
    for step in range(1, 60):
        _change(engine)
        average.update(step)
        decay = min(DECAY, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * engine.module[0].weight.detach()
    torch.testing.assert_close(average.weights(engine.module)["0.weight"], expected)


def test_looking_at_the_average_leaves_the_weights_alone(engine: Any) -> None:
    average = _average(engine)
    _change(engine)
    average.update(1)
    before = {name: weight.clone() for name, weight in engine.module.state_dict().items()}
    network = average.refresh()
    shown = average.weights(engine.module)
    for name, weight in engine.module.state_dict().items():
        assert torch.equal(weight, before[name])
        assert torch.equal(network.state_dict()[name], shown[name])
        assert not torch.equal(weight, shown[name])


def test_an_average_that_is_restored_goes_on_to_the_same_bits(engine: Any) -> None:
    average = _average(engine)
    _change(engine)
    average.update(1)
    restored = _average(engine)
    weights = {name: weight.clone() for name, weight in engine.module.state_dict().items()}
    restored.restore(average.weights(engine.module))
    assert all(torch.equal(weight, weights[name]) for name, weight in engine.module.state_dict().items())
    _change(engine)
    for each in (average, restored):
        each.update(2)
    for name, weight in average.weights(engine.module).items():
        assert torch.equal(weight, restored.weights(engine.module)[name])
