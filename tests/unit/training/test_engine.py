"""How ranks find their devices."""

import pytest
import torch

from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import FinetuneParams, PretrainParams, TrainingParams
from unimol2_tasks.training import engine


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Two GPUs, and nothing that would start on them."""

    def started() -> None:
        raise RuntimeError("started")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(engine, "import_deepspeed", started)
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")  # set again by what is tested, and put back afterwards
    return monkeypatch


def _start_rank(machine: pytest.MonkeyPatch, params: TrainingParams, nodes: int = 1) -> None:
    """Start a rank as torchrun does."""
    machine.setenv("WORLD_SIZE", str(params.ranks))
    machine.setenv("LOCAL_WORLD_SIZE", str(params.ranks // nodes))
    engine.start_distributed(params)


@pytest.mark.parametrize(
    ("params", "nodes", "advice"),
    [
        (PretrainParams(ranks=4), 1, r"pretrain\.ranks=4: 4 training processes share 2 GPUs.*ranks=2"),
        (FinetuneParams(ranks=4), 1, r"finetune\.ranks=4: .*set finetune\.ranks=2"),
        (PretrainParams(ranks=16), 4, r"pretrain\.ranks=16: 4 training processes share.*pretrain\.ranks=8"),
    ],
)
def test_more_ranks_than_gpus_are_refused_with_what_to_set(
    machine: pytest.MonkeyPatch, params: TrainingParams, nodes: int, advice: str
) -> None:
    with pytest.raises(ParameterError, match=advice + r", or train on CPUs with CUDA_VISIBLE_DEVICES="):
        _start_rank(machine, params, nodes)


@pytest.mark.parametrize(("ranks", "nodes"), [(1, 1), (2, 1), (8, 4)])
def test_a_gpu_for_every_rank_is_enough(machine: pytest.MonkeyPatch, ranks: int, nodes: int) -> None:
    with pytest.raises(RuntimeError, match="started"):
        _start_rank(machine, PretrainParams(ranks=ranks), nodes)
