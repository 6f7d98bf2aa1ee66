"""This project's network, to be measured; a worker when run as a module."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.comparison.measuring import Job, Network
from benchmarks.comparison.serving import Sets, serve
from unimol2_model import (
    ModelConfig,
    Molecule,
    MoleculeBatch,
    UniMol2ForPretraining,
    UniMol2ForProperties,
    batch_by_pairs,
    convert,
    load_weights,
    read_config,
    save_weights,
)

SIZE = "84M"


class OwnNetwork(Network[Molecule, MoleculeBatch]):
    """A property model; mixed sizes are sorted and dealt out by pairs."""

    model: UniMol2ForProperties

    def collate(self, molecules: Sequence[Molecule]) -> MoleculeBatch:
        """Make one batch."""
        return MoleculeBatch.collate(molecules)

    def predict(self, batch: MoleculeBatch) -> Tensor:
        """Return [B, 1]."""
        predicted: Tensor = self.model(batch)
        return predicted

    def represent(self, batch: MoleculeBatch) -> Tensor:
        """Return the molecule tokens [B, D]."""
        return self.model.embed(batch)

    def deal(self, job: Job) -> list[list[Molecule]]:
        """Deal the molecules out by size where the job has a limit of pairs."""
        if job.pairs is None:
            return super().deal(job)
        molecules = self.sets[job.molecules]
        batches = batch_by_pairs([molecule.atoms for molecule in molecules], job.pairs)
        return [[molecules[index] for index in batch] for batch in batches]


def write_random_weights(path: Path) -> None:
    """Write a released checkpoint.pt in which every weight is random, those that training starts at 0 too."""
    torch.manual_seed(0)
    model = UniMol2ForPretraining(replace(ModelConfig.preset(SIZE), initialisation="released"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    own_names = path.with_suffix(".safetensors")
    save_weights(model, own_names)
    convert(own_names, path)


def build(weights: Path, sets: Sets, precision: torch.dtype) -> OwnNetwork:
    """Load the backbone; the property head stays random."""
    model = UniMol2ForProperties(read_config(weights), outputs=1)
    load_weights(model, weights, part="backbone")
    molecules = {name: [Molecule(**arrays) for arrays in members] for name, members in sets.items()}
    return OwnNetwork(model.to(precision), molecules)


if __name__ == "__main__":
    serve(build)
