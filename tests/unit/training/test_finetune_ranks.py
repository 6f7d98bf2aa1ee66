"""Two ranks that measure what fine-tuning saved: each half of it, and together what one rank says."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from unimol2_model.weights import write_weights
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.datasets.parts import Parts
from unimol2_tasks.params import ModelParams, PrepareParams
from unimol2_tasks.training import finetune
from unimol2_tasks.training.job import RunFolder
from unimol2_tasks.training.network import load_on_all_ranks, new_property_model
from unimol2_tasks.training.predictor_files import OUT_OF_FOLD, VALIDATION
from unimol2_tasks.training.targets import Target, Targets

CPU = torch.device("cpu")
TARGETS = Targets(targets=(Target(name="weight", kind="regression"),), prepare=PrepareParams())
MODEL = ModelParams(preset="tiny", blocks=1, atom_dim=16, heads=2, ffn_dim=16, pair_dim=8, pair_hidden_dim=4)


def _measure(rank: int, ranks: int, folder: Path, dataset_folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    run, dataset = RunFolder(folder), open_dataset(dataset_folder)
    network = new_property_model(MODEL, None, TARGETS, 0.0, seed=0)
    if rank == 0:
        # Untrained heads answer 0 everywhere.
        torch.manual_seed(1)
        weights = {
            name: value + 0.3 * torch.randn_like(value) for name, value in network.state_dict().items()
        }
        write_weights(weights, network.config, run.best)
    places = np.arange(len(dataset))
    labels = np.zeros((len(dataset), 1))
    task = finetune._Task(
        dataset, TARGETS, np.array([0]), labels, Parts(places[:8], places[8:16], places[16:])
    )
    saved = load_on_all_ranks(run.best, network.config, TARGETS, CPU)
    passes: list[int] = []
    saved.register_forward_hook(lambda module, inputs, outputs: passes.append(len(outputs)))
    measured = finetune._measured(run, task, 0, saved, CPU)
    np.savez(
        folder / f"rank-{rank}.npz", passes=passes, **{name: found[1] for name, found in measured.items()}
    )
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, tiny_dataset: ArtifactRef) -> dict[int, Path]:
    """A folder with what each rank found, by the number of ranks."""
    folders = {}
    for ranks in (1, 2):
        folders[ranks] = tmp_path_factory.mktemp(f"ranks-{ranks}")
        multiprocessing.start_processes(
            _measure, (ranks, folders[ranks], tiny_dataset.uri), nprocs=ranks, start_method="spawn"
        )
    return folders


def test_two_ranks_say_together_what_one_says(measured: dict[int, Path]) -> None:
    alone = np.load(measured[1] / "rank-0.npz")
    for rank in (0, 1):
        found = np.load(measured[2] / f"rank-{rank}.npz")
        for name, count in ((VALIDATION, 8), (OUT_OF_FOLD, 24)):
            assert found[name].shape == (count, 1)
            assert np.ptp(alone[name]) > 1e-3, "the molecules have to differ for this to be a test"
            np.testing.assert_allclose(found[name], alone[name], rtol=1e-6, atol=1e-7)


def test_no_rank_measures_more_than_its_share(measured: dict[int, Path]) -> None:
    alone = len(np.load(measured[1] / "rank-0.npz")["passes"])
    passes = [len(np.load(measured[2] / f"rank-{rank}.npz")["passes"]) for rank in (0, 1)]
    assert passes[0] == passes[1]
    # A part whose passes cannot be halved costs one more.
    assert alone <= sum(passes) <= alone + 2
