"""UniMolV2Model of unimol_tools as it is, to be measured; runs in an environment of its own.

Its weights are read by its own code from a file of released format, which its constructor has an argument
for, so nothing of it is patched. Its inputs have the types that its own featurisation gives them.
"""

import argparse
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from unimol_tools.models.unimolv2 import UniMolV2Model  # type: ignore[import-not-found]

from benchmarks.comparison.measuring import Network
from benchmarks.comparison.molecule_sets import Arrays
from benchmarks.comparison.serving import Sets, serve

SIZE = "84m"
VERSION = "0.1.6"

Sample = tuple[Mapping[str, Any], Any]
"""Features by their names in unimol_tools, and a label."""


class UniMolTools(Network[Sample, Mapping[str, Tensor]]):
    """A property model, fed by its own collation."""

    model: Any

    def collate(self, molecules: Sequence[Sample]) -> Mapping[str, Tensor]:
        """Make one batch; its labels are all the same and left out."""
        batch: Mapping[str, Tensor]
        batch, _labels = self.model.batch_collate_fn(molecules)
        return batch

    def predict(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return [B, 1]."""
        predicted: Tensor = self.model(**batch)
        return predicted

    def represent(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the molecule tokens [B, D]."""
        tokens: Tensor = self.model(**batch, return_repr=True)
        return tokens


def as_sample(arrays: Arrays) -> Sample:
    """Name one molecule's arrays as unimol_tools does."""
    atoms = len(arrays["tokens"])
    features = {
        "atom_feat": arrays["atom_features"].astype(np.int32),
        "atom_mask": np.ones(atoms, np.int64),
        "edge_feat": arrays["bond_features"].astype(np.int32),
        "shortest_path": arrays["path_lengths"].astype(np.int32),
        "degree": arrays["degrees"].astype(np.int32),
        "pair_type": arrays["pair_types"].astype(np.int32),
        "attn_bias": np.zeros((atoms + 1, atoms + 1), np.float32),
        "src_tokens": arrays["tokens"].tolist(),
        "src_coord": arrays["positions"].astype(np.float32),
    }
    return features, np.zeros(1, np.float32)


def build(weights: Path, sets: Sets, precision: torch.dtype) -> UniMolTools:
    """Load the released names; the property head stays random.

    Raises:
        SystemExit: the environment has another version of unimol_tools.
    """
    if version("unimol_tools") != VERSION:
        raise SystemExit(f"unimol_tools {version('unimol_tools')} is installed; expected {VERSION}")
    # Released checkpoints hold their options as a Namespace, which torch.load refuses unless it is told.
    with torch.serialization.safe_globals([argparse.Namespace]):
        model = UniMolV2Model(output_dim=1, model_size=SIZE, pretrained_model_path=str(weights))
    samples = {name: [as_sample(arrays) for arrays in members] for name, members in sets.items()}
    return UniMolTools(model.to(precision), samples)


if __name__ == "__main__":
    serve(build)
