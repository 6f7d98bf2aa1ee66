"""Half precision in a network as deep as the largest published one."""

from typing import Any

import pytest
import torch
from real_molecules import SINGLE_ATOM, real_molecules
from small_networks import random_model

from unimol2_model import ModelConfig, MoleculeBatch, UniMol2ForPretraining
from unimol2_model.pretraining import pretraining_loss

# Uni-Mol2 1.1B has 64 blocks and heads of width 16 (table 1).
DEEP: dict[str, Any] = {
    "blocks": 64, "atom_dim": 64, "heads": 4, "ffn_dim": 64, "pair_dim": 32, "pair_hidden_dim": 8,
}  # fmt: skip


def _model(start: str) -> UniMol2ForPretraining:
    # A fresh "layerwise" network's branches end in zeros; those of a random one all count.
    if start == "random":
        return random_model(**DEEP)
    torch.manual_seed(0)
    return UniMol2ForPretraining(ModelConfig.from_dict(DEEP | {"initialisation": start}))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("start", ["layerwise", "released", "random"])
def test_everything_stays_finite(start: str, dtype: torch.dtype) -> None:
    model = _model(start).to(dtype).train()
    batch = MoleculeBatch.collate([real_molecules()[k] for k in (SINGLE_ATOM, 5, 22)], buckets=[16])
    output = model(batch)
    loss = pretraining_loss(output, batch)
    loss.total.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    tensors: dict[str, torch.Tensor | None] = {**output._asdict(), **loss._asdict(), **gradients}
    assert [name for name, x in tensors.items() if x is None or not x.isfinite().all()] == []
