"""From `params.yaml` to a network, and from files to its weights."""

import json
from pathlib import Path

import torch

from unimol2_model import ModelConfig, UniMol2ForPretraining, UniMol2ForProperties, load_weights
from unimol2_model.weights import read_config
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import ModelParams
from unimol2_tasks.training.targets import Targets

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TARGETS = "targets.json"


def model_config(params: ModelParams) -> ModelConfig:
    """The configuration that `params` describes.

    Raises:
        ParameterError: The dimensions do not fit each other.
    """
    try:
        base = ModelConfig.preset(params.preset).to_dict()
        return ModelConfig.from_dict(base | params.overrides())
    except ValueError as error:
        raise ParameterError(f"model: {error}") from None


def new_pretraining_model(params: ModelParams, seed: int) -> UniMol2ForPretraining:
    """A network with fresh weights, the same for the same seed."""
    torch.manual_seed(seed)
    return UniMol2ForPretraining(model_config(params))


def new_property_model(
    params: ModelParams, model: Path | None, outputs: int, head_dropout: float, seed: int
) -> UniMol2ForProperties:
    """A network with a fresh property head on a pretrained, or with `model` None a fresh, backbone.

    A pretrained model brings its own configuration; of `params` only the dropouts apply then.
    """
    config = model_config(params) if model is None else read_config(model / WEIGHTS)
    if model is not None:
        dropouts = {name: value for name, value in params.overrides().items() if name.endswith("dropout")}
        config = ModelConfig.from_dict(config.to_dict() | dropouts)
    torch.manual_seed(seed)
    network = UniMol2ForProperties(config, outputs=outputs, head_dropout=head_dropout)
    if model is not None:
        load_weights(network, model / WEIGHTS, part="backbone")
    return network


def load_predictor(folder: Path) -> tuple[UniMol2ForProperties, Targets]:
    """A fine-tuned network with its targets."""
    targets = Targets.model_validate_json((folder / TARGETS).read_text(encoding="utf-8"))
    network = UniMol2ForProperties(read_config(folder / WEIGHTS), outputs=len(targets.targets))
    load_weights(network, folder / WEIGHTS)
    return network.eval(), targets


def load_pretrained(folder: Path) -> UniMol2ForPretraining:
    """A pretrained network."""
    network = UniMol2ForPretraining(read_config(folder / WEIGHTS))
    load_weights(network, folder / WEIGHTS)
    return network.eval()


def write_config(folder: Path, config: ModelConfig) -> None:
    """Write the network's configuration beside its weights, for people and other programs."""
    (folder / CONFIG).write_text(json.dumps(config.to_dict(), indent=1) + "\n", encoding="utf-8")
