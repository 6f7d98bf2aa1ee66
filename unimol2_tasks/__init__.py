"""Uni-Mol2 as a Prefect plugin: every step from a table of molecules to predictions with a report.

`Predictor` and the Prefect blocks are imported when they are first used, so that whoever needs something
small from this package never pays for importing torch, RDKit and Prefect.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["ArtifactStore", "LaunchProfile", "Predictor", "__version__"]

_HOMES = {
    "ArtifactStore": "unimol2_tasks.blocks",
    "LaunchProfile": "unimol2_tasks.blocks",
    "Predictor": "unimol2_tasks.predictor",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # `prefect block register -m unimol2_tasks` looks through these.
    return sorted({*globals(), *__all__})
