"""Training on a CUDA device."""

import csv
from pathlib import Path

import pytest
import torch

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import pretrain

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("zero_stage", [0, 2])
def test_the_loss_falls(
    tmp_path: Path, tiny_params: Params, tiny_dataset: ArtifactRef, precision: str, zero_stage: int
) -> None:
    values = tiny_params.model_dump()
    values["pretrain"] |= {"ranks": 1, "precision": precision, "zero_stage": zero_stage, "steps": 40}
    pretrain.run(parse_params(values), pretrain.PretrainInputs(tiny_dataset.uri), str(tmp_path / "model"))
    with (tmp_path / "model" / "curve.csv").open(newline="", encoding="utf-8") as stream:
        losses = [float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]]
    assert losses[-1] < losses[0]
