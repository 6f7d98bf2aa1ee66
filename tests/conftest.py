"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

# One thread each: the tests run in several processes at once on small machines.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Reference values and real data that lie beside the project and are not part of it."""
    shared = ROOT.parent / "shared"
    if not (shared / "reference").is_dir():
        pytest.skip(f"reference values and real data are absent: no folder {shared.name}/ beside the project")
    return shared


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The project's root folder."""
    return ROOT
