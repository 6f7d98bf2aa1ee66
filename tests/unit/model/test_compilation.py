"""Blocks under torch.compile."""

from collections.abc import Callable, Iterator

import pytest
import torch
from small_networks import random_model, random_molecule

from unimol2_model import MoleculeBatch, UniMol2ForPretraining

BUCKETS = (8, 16)


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def _batches() -> list[MoleculeBatch]:
    molecules = [random_molecule(n, seed=n) for n in (5, 7, 12, 16, 3)]
    return [
        MoleculeBatch.collate([molecule, random_molecule(2, 1)], buckets=BUCKETS) for molecule in molecules
    ]


def _gradients(model: UniMol2ForPretraining) -> list[torch.Tensor]:
    model.zero_grad()
    for batch in _batches():
        model.loss(batch).total.backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


def test_one_graph_per_bucket_serves_all_blocks() -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., object]:
        graphs.append(graph)
        return graph.forward

    model = random_model().train()
    for block in model.backbone.blocks:
        block.compile(backend=backend, dynamic=False, fullgraph=True)
    _gradients(model)
    assert len(graphs) == len(BUCKETS)


def test_compiled_blocks_give_the_same_gradients() -> None:
    expected = _gradients(random_model())
    model = random_model()
    for block in model.backbone.blocks:
        # All of the compiler but its last stage, which may need a C++ compiler.
        block.compile(backend="aot_eager")
    torch.testing.assert_close(_gradients(model), expected, rtol=1e-4, atol=1e-6)
