"""A run that meets a molecule with impossible coordinates: it gives up, and the molecule is found."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unimol2_tasks.chemistry.preparation import prepare_molecule
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.datasets.shards import ShardWriter, write_splits
from unimol2_tasks.params import Params, PrepareParams
from unimol2_tasks.training.divergence import advice
from unimol2_tasks.training.job import Job, RunFolder, read_json
from unimol2_tasks.training.replay import read_diverged, replay

_SCRIPT = Path(__file__).with_name("training_jobs.py")
SMILES = ("CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "CCN(CC)CC", "OC(=O)c1ccncc1", "CC(C)O")
BAD = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_params: Params) -> RunFolder:
    """Two ranks; the first step whose gradient is not finite ends it."""
    folder = tmp_path_factory.mktemp("divergence")
    write_dataset(folder / "dataset")
    changes = {"batch_size": 4, "flat_probability": 0.0, "max_skipped_steps": 0, "log_every": 1}
    pretrain = tiny_params.pretrain.model_copy(update=changes)
    params = tiny_params.model_copy(update={"pretrain": pretrain})
    run = RunFolder(folder / "run")
    run.path.mkdir()
    job = Job(kind="pretrain", dataset=folder / "dataset", params=params)
    run.job.write_text(job.model_dump_json())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*torchrun, str(_SCRIPT), str(run.path)],
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.failure.exists(), done.stderr[-3000:]
    return run


def write_dataset(folder: Path) -> None:
    """Four training molecules, one of them 10²⁵ Å large, and two for validation."""
    params = PrepareParams(conformers=1)
    with ShardWriter(folder, rows_per_shard=100, label_names=()) as shards:
        for row, smiles in enumerate(SMILES, start=1):
            record = MoleculeRecord.of(prepare_molecule(smiles, params), row, smiles)
            if smiles == BAD:
                record = replace(record, positions=record.positions * np.float32(1e25))
            shards.write(record)
    write_splits(folder, SMILES, ["train", "train", "train", "train", "valid", "valid"])


def test_the_run_gives_up_and_says_how_to_find_out(run: RunFolder) -> None:
    failure = read_json(run.failure)
    assert failure is not None
    assert f"unimol2 replay {run.diverged}" in failure["message"]
    assert not run.result.exists()


def test_the_replay_of_what_it_left_names_the_molecule(run: RunFolder) -> None:
    diverged = read_diverged(run.diverged)
    assert diverged.broken_weights == []
    assert len(diverged.batch.ids) == 4
    assert BAD in diverged.batch.ids
    molecules = replay(diverged, torch.device("cpu"))
    assert {molecule.id for molecule in molecules if molecule.verdict != "finite"} == {BAD}
    assert advice(diverged, molecules).startswith(f"Bad data: molecule {BAD} ")
