"""What a network is shown of a stored molecule: which geometries, and whether its graph features."""

from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from unimol2_model.molecule import Molecule
from unimol2_tasks.datasets.corruption import hidden_features
from unimol2_tasks.datasets.records import MoleculeRecord


class View(BaseModel):
    """What fine-tuning shows of a molecule, and prediction after it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: bool = True
    """Whether atom, bond and shortest-path features are seen; else constants, as in half of pretraining."""
    drawing: bool = False
    """Whether the flat drawing counts as one more conformer."""
    conformers: int = Field(11, ge=1)
    """The most geometries per molecule, the drawing included (Uni-Mol2: 10 conformers and the drawing)."""

    def geometries(self, conformers: int) -> int:
        """How many geometries are seen of a molecule with so many stored conformers."""
        return min(conformers + self.drawing, self.conformers)

    def molecule(self, record: MoleculeRecord, geometry: int) -> Molecule:
        """The network's input for one of a molecule's geometries.

        Args:
            record: The stored molecule.
            geometry: From 0 to `geometries(record.conformers) - 1`: the conformers of lowest energy, then the
                drawing.
        """
        flat = self.drawing and geometry == self.geometries(record.conformers) - 1
        positions = record.coordinates(0 if flat else geometry, flat)
        if self.features:
            return record.graph.molecule(positions)
        hidden: dict[str, Any] = hidden_features(record.graph)
        return Molecule(tokens=record.tokens, positions=np.asarray(positions, np.float32), **hidden)


WHOLE = View()
"""Everything that is stored of a molecule, but the drawing."""
