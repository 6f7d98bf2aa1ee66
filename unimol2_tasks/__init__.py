"""Uni-Mol2 as a Prefect plugin: every step from a table of molecules to predictions with a report.

`Predictor` is imported when it is first used, so that whoever needs something small from this package never
pays for importing torch and RDKit.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "Predictor":
        return import_module("unimol2_tasks.predictor").Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
