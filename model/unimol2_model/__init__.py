"""The Uni-Mol2 network: its inputs, its losses and its weights.

Names are imported when they are first used, so that code which only makes a `Molecule` or a `ModelConfig`
(data preparation, parameter files) never pays for importing torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unimol2_model.backbone import BackboneOutput, UniMol2Backbone
    from unimol2_model.batch import MoleculeBatch
    from unimol2_model.batching import batch_by_pairs
    from unimol2_model.config import ModelConfig
    from unimol2_model.molecule import Molecule
    from unimol2_model.pretraining import PretrainingLoss, PretrainingOutput, UniMol2ForPretraining
    from unimol2_model.property import UniMol2ForProperties
    from unimol2_model.released import WeightsError
    from unimol2_model.weights import convert, load_weights, read_config, save_weights

_MODULE_OF = {
    "BackboneOutput": "backbone",
    "ModelConfig": "config",
    "Molecule": "molecule",
    "MoleculeBatch": "batch",
    "PretrainingLoss": "pretraining",
    "PretrainingOutput": "pretraining",
    "UniMol2Backbone": "backbone",
    "UniMol2ForPretraining": "pretraining",
    "UniMol2ForProperties": "property",
    "WeightsError": "released",
    "batch_by_pairs": "batching",
    "convert": "weights",
    "load_weights": "weights",
    "read_config": "weights",
    "save_weights": "weights",
}

__all__ = [
    "BackboneOutput",
    "ModelConfig",
    "Molecule",
    "MoleculeBatch",
    "PretrainingLoss",
    "PretrainingOutput",
    "UniMol2Backbone",
    "UniMol2ForPretraining",
    "UniMol2ForProperties",
    "WeightsError",
    "batch_by_pairs",
    "convert",
    "load_weights",
    "read_config",
    "save_weights",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
