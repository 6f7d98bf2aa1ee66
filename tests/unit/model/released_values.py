"""What the released code gives for six molecules."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unimol2_model import Molecule, UniMol2ForPretraining, load_weights, read_config


@dataclass(frozen=True)
class Golden:
    """Inputs and outputs of the released code on six molecules."""

    folder: Path
    io: dict[str, torch.Tensor]
    facts: dict[str, Any]

    @property
    def checkpoint(self) -> Path:
        return self.folder / "tiny.checkpoint.pt"

    @property
    def safetensors(self) -> Path:
        return self.folder / "tiny.weights.safetensors"

    def molecules(self) -> list[Molecule]:
        return [self._molecule(k) for k in range(len(self.facts["smiles"]))]

    def _molecule(self, k: int) -> Molecule:
        names = {
            "tokens": "src_token",
            "atom_features": "atom_feat",
            "degrees": "degree",
            "bond_features": "edge_feat",
            "path_lengths": "shortest_path",
            "pair_types": "pair_type",
            "positions": "src_pos",
            "target_tokens": "target_token",
            "target_positions": "target_pos",
        }
        return Molecule(**{ours: self.io[f"mol{k}.in.{theirs}"].numpy() for ours, theirs in names.items()})

    def model(self) -> UniMol2ForPretraining:
        model = UniMol2ForPretraining(read_config(self.checkpoint)).eval()
        load_weights(model, self.checkpoint)
        return model
