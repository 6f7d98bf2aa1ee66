"""Replaying the batch at which training gave up: the culprit is named."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from unimol2_model import UniMol2ForPretraining
from unimol2_model.weights import write_weights
from unimol2_tasks.chemistry.preparation import prepare_molecule
from unimol2_tasks.cli import app
from unimol2_tasks.datasets.collation import PretrainingSamples
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.datasets.shards import ShardWriter, write_splits
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params, PrepareParams
from unimol2_tasks.training.divergence import advice
from unimol2_tasks.training.job import Job
from unimol2_tasks.training.network import new_pretraining_model
from unimol2_tasks.training.replay import ReplayedMolecule, read_diverged, replay

SMILES = ("CCO", "c1ccccc1O", "CC(=O)Oc1ccccc1C(=O)O", "CCN(CC)CC", "OC(=O)c1ccncc1")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def records() -> list[MoleculeRecord]:
    params = PrepareParams(conformers=2, prune_rmsd=0)
    return [
        MoleculeRecord.of(prepare_molecule(smiles, params), row, f"mol {row}")
        for row, smiles in enumerate(SMILES, start=1)
    ]


@pytest.fixture(scope="module")
def params(tiny_params: Params) -> Params:
    """3D coordinates always, so that a bad conformer is certain to be seen."""
    pretrain = tiny_params.pretrain.model_copy(update={"flat_probability": 0.0})
    return tiny_params.model_copy(update={"pretrain": pretrain})


class Diverged:
    """Writes what the loop leaves behind when it gives up."""

    def __init__(self, folder: Path, params: Params) -> None:
        self.folder = folder / "diverged"
        self.dataset = folder / "dataset"
        self.params = params
        self.model = new_pretraining_model(params.model, seed=0)

    def write(self, records: list[MoleculeRecord], precision: str = "fp32", **changes: Any) -> Path:
        with ShardWriter(self.dataset, rows_per_shard=100, label_names=()) as shards:
            for record in records:
                shards.write(record)
        write_splits(self.dataset, [record.id for record in records], ["train"] * len(records))
        self.folder.mkdir()
        batch = {
            "step": 41, "seed": self.params.pretrain.seed, "precision": precision,
            "indices": [4, 2, 0, 1, 3], "epochs": [7, 7, 8, 7, 7],
            "ids": [records[index].id for index in (4, 2, 0, 1, 3)],
        }  # fmt: skip
        (self.folder / "batch.json").write_text(json.dumps(batch | changes))
        job = Job(kind="pretrain", dataset=self.dataset, params=self.params)
        (self.folder / "job.json").write_text(job.model_dump_json())
        write_weights(self.model.state_dict(), self.model.config, self.folder / "model.safetensors")
        return self.folder


@pytest.fixture
def diverged(tmp_path: Path, params: Params) -> Diverged:
    return Diverged(tmp_path, params)


def replayed(folder: Path) -> tuple[dict[str, ReplayedMolecule], str]:
    """By id; and the advice."""
    read = read_diverged(folder)
    molecules = replay(read, CPU)
    return {molecule.id: molecule for molecule in molecules}, advice(read, molecules)


def with_coordinates(record: MoleculeRecord, factor: float) -> MoleculeRecord:
    with np.errstate(invalid="ignore"):
        return replace(record, positions=(record.positions * np.float32(factor)).astype(np.float32))


def test_each_molecule_has_the_losses_that_it_had_in_the_batch(
    diverged: Diverged, records: list[MoleculeRecord]
) -> None:
    read = read_diverged(diverged.write(records))
    samples = PretrainingSamples(read.dataset, read.job.params.pretrain)
    visits = [Visit(epoch, index) for epoch, index in zip(read.batch.epochs, read.batch.indices, strict=True)]
    with torch.no_grad():
        together = diverged.model.eval().loss(samples[visits].molecules)
    molecules = replay(read, CPU)
    assert [molecule.id for molecule in molecules] == ["mol 5", "mol 3", "mol 1", "mol 2", "mol 4"]
    assert {molecule.verdict for molecule in molecules} == {"finite"}
    for place, molecule in enumerate(molecules):
        assert molecule.found is not None
        assert molecule.found.origin is None
        assert molecule.found.losses["loss"] == pytest.approx(float(together.per_molecule[place]), rel=1e-5)
    assert "Every molecule is finite alone" in advice(read, molecules)


def test_gradients_are_those_of_the_loss(diverged: Diverged, records: list[MoleculeRecord]) -> None:
    read = read_diverged(diverged.write(records))
    found = replay(read, CPU)[0].found
    model = diverged.model.eval()
    samples = PretrainingSamples(read.dataset, read.job.params.pretrain)
    model.loss(samples[[Visit(7, 4)]].molecules).total.backward()
    squares = [float(weight.grad.square().sum()) for weight in model.parameters() if weight.grad is not None]
    assert found is not None
    assert found.gradient_norm == pytest.approx(math.sqrt(sum(squares)), rel=1e-5)


def test_a_molecule_with_huge_coordinates_is_named(diverged: Diverged, records: list[MoleculeRecord]) -> None:
    bad = [with_coordinates(record, 1e25) if record.id == "mol 3" else record for record in records]
    molecules, text = replayed(diverged.write(bad, precision="bf16"))
    assert {name for name, molecule in molecules.items() if molecule.verdict != "finite"} == {"mol 3"}
    assert molecules["mol 3"].verdict == "not finite"
    assert molecules["mol 3"].reach > 1e20
    assert text.startswith("Bad data: molecule mol 3 ")


def test_a_molecule_without_coordinates_is_named(diverged: Diverged, records: list[MoleculeRecord]) -> None:
    bad = [with_coordinates(record, math.nan) if record.id == "mol 2" else record for record in records]
    molecules, text = replayed(diverged.write(bad))
    assert molecules["mol 2"].verdict == "refused"
    assert molecules["mol 2"].refused
    assert text.startswith("Bad data: molecule mol 2 ")


def test_the_layer_with_broken_weights_is_named(diverged: Diverged, records: list[MoleculeRecord]) -> None:
    plant(diverged.model, "backbone.blocks.1.pair_transition", math.inf)
    molecules, text = replayed(diverged.write(records))
    for molecule in molecules.values():
        assert molecule.found is not None
        assert molecule.found.origin is not None
        assert molecule.found.origin.startswith("output of backbone.blocks.1.pair_transition")
    assert "The weights were broken before step 41: backbone.blocks.1.pair_transition" in text


def test_weights_that_have_grown_too_large_are_told_from_bad_data(
    diverged: Diverged, records: list[MoleculeRecord]
) -> None:
    plant(diverged.model, "backbone.blocks.0.atom_transition", 1e30)
    molecules, text = replayed(diverged.write(records))
    assert {molecule.verdict for molecule in molecules.values()} == {"not finite"}
    assert "Training has diverged" in text


def test_what_fp16_cannot_hold_is_told_from_bad_data(
    diverged: Diverged, records: list[MoleculeRecord]
) -> None:
    plant(diverged.model, "backbone.blocks.0.atom_transition", 3e4)
    molecules, text = replayed(diverged.write(records, precision="fp16"))
    assert {molecule.verdict for molecule in molecules.values()} == {"overflow"}
    assert molecules["mol 1"].in_fp32 is not None
    assert molecules["mol 1"].in_fp32.finite
    assert "Start anew with pretrain.precision=bf16" in text


def plant(model: UniMol2ForPretraining, module: str, value: float) -> None:
    """Put one value into every entry of the last matrix of a module."""
    matrices = [weight for weight in model.get_submodule(module).parameters() if weight.dim() == 2]
    torch.nn.init.constant_(matrices[-1], value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ids": ["mol 5", "mol 3", "another", "mol 2", "mol 4"]},
            "molecule 0 is mol 1, in batch.json another",
        ),
        ({"indices": [4, 2, 0, 1, 9]}, "names molecule 9, the dataset has 5"),
        ({"seed": 99}, "they are of two runs"),
        ({"epochs": [1]}, "one value per molecule"),
        ({"precision": "fp8"}, "precision"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(
    diverged: Diverged, records: list[MoleculeRecord], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_diverged(diverged.write(records, **changes))


def test_what_is_missing_is_named(diverged: Diverged, records: list[MoleculeRecord], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"batch\.json: no such file; give the folder diverged/"):
        read_diverged(tmp_path)
    folder = diverged.write(records)
    job = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(job | {"dataset": str(tmp_path / "moved")}))
    with pytest.raises(
        UserError, match=r"moved: the dataset of the run is not there; say where .* --dataset"
    ):
        read_diverged(folder)
    assert len(read_diverged(folder, diverged.dataset).dataset) == len(records)
    (folder / "job.json").write_text(json.dumps(job | {"kind": "finetune"}))
    with pytest.raises(UserError, match="replay is for pretraining"):
        read_diverged(folder)
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "model.safetensors").write_bytes(b"\0" * 64)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        read_diverged(folder)


def test_the_command_shows_the_worst_first_and_says_what_to_do(
    diverged: Diverged, records: list[MoleculeRecord], tmp_path: Path
) -> None:
    bad = [with_coordinates(record, 1e25) if record.id == "mol 3" else record for record in records]
    table = tmp_path / "all.csv"
    words = ["replay", str(diverged.write(bad)), "--device", "cpu", "--rows", "2", "--csv", str(table)]
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "not finite" in done.output
    assert "Bad data: molecule mol 3" in done.output
    lines = table.read_text().splitlines()
    assert lines[0].startswith("index,smiles,id,atoms,reach,loss")
    assert len(lines) == 1 + len(records)
