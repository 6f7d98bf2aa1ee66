"""Fixtures of the model's tests."""

import json
from pathlib import Path

import pytest
from released_values import Golden
from safetensors.torch import load_file


@pytest.fixture(scope="session")
def golden(shared_dir: Path) -> Golden:
    folder = shared_dir / "reference" / "parity"
    return Golden(
        folder, load_file(folder / "tiny.io.safetensors"), json.loads((folder / "tiny.json").read_text())
    )
