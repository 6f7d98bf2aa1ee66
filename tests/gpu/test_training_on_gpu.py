"""Training on a CUDA device."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.stages import finetune, pretrain

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


PRECISIONS = ("fp32", "bf16", "fp16")
VARIANTS: dict[str, dict[str, Any]] = {
    **{
        f"{precision}-{stage}": {"precision": precision, "zero_stage": stage}
        for precision in PRECISIONS
        for stage in (0, 2, 3)
    },
    "offloaded": {"precision": "bf16", "zero_stage": 2, "offload_optimizer": True},
    "compiled": {"precision": "bf16", "compile": True},
    "averaged": {"precision": "bf16", "zero_stage": 3, "ema_decay": 0.9},
    "checkpointed": {"precision": "bf16", "checkpoint_activations": True},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_the_loss_falls(
    tmp_path: Path, tiny_params: Params, tiny_dataset: ArtifactRef, changes: dict[str, Any]
) -> None:
    values = tiny_params.model_dump()
    values["pretrain"] |= {"ranks": 1, "steps": 40, **changes}
    pretrain.run(parse_params(values), pretrain.PretrainInputs(tiny_dataset.uri), str(tmp_path / "model"))
    with (tmp_path / "model" / "curve.csv").open(newline="", encoding="utf-8") as stream:
        losses = [float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_predictor_is_judged_and_published(
    tmp_path: Path, tiny_params: Params, tiny_dataset: ArtifactRef, precision: str
) -> None:
    values = tiny_params.model_dump()
    values["finetune"] |= {"ranks": 1, "precision": precision}
    out = tmp_path / "predictor"
    finetune.run(parse_params(values), finetune.FinetuneInputs(tiny_dataset.uri, None), str(out))
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    assert math.isfinite(metrics["valid/loss"])
