"""Fixtures of the model's tests."""

import json
from pathlib import Path

import numpy as np
import pytest
from released_values import Golden
from safetensors.torch import load_file
from small_networks import random_model, random_molecule, reorder

from unimol2_model import Molecule, UniMol2ForPretraining


@pytest.fixture(scope="session")
def golden(shared_dir: Path) -> Golden:
    folder = shared_dir / "reference" / "parity"
    return Golden(
        folder, load_file(folder / "tiny.io.safetensors"), json.loads((folder / "tiny.json").read_text())
    )


@pytest.fixture(params=["golden", "random"])
def case(request: pytest.FixtureRequest) -> tuple[UniMol2ForPretraining, list[Molecule]]:
    """A network and molecules of several sizes, one of them a single atom."""
    if request.param == "random":
        return random_model(), [random_molecule(n, seed=n) for n in (7, 1, 4, 12, 2)]
    golden: Golden = request.getfixturevalue("golden")
    molecules = golden.molecules()
    return golden.model(), [*molecules, reorder(molecules[0], np.array([3]))]
