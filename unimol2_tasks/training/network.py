"""From `params.yaml` to a network, and from files to its weights."""

import json
from pathlib import Path

import torch
import torch.distributed as dist

from unimol2_model import ModelConfig, UniMol2ForPretraining, UniMol2ForProperties, load_weights
from unimol2_model.weights import read_config
from unimol2_tasks.errors import ParameterError
from unimol2_tasks.params import ModelParams
from unimol2_tasks.training.targets import Targets

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
TARGETS = "targets.json"
MEMBERS = "members"
"""Folder of an ensemble's networks, one folder each."""


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


def new_pretraining_model(params: ModelParams, seed: int, model: Path | None = None) -> UniMol2ForPretraining:
    """A network with fresh weights, the same for the same seed; or with those of `model`, its heads included.

    A pretrained model brings its own configuration; of `params` only the dropouts apply then.
    """
    torch.manual_seed(seed)
    network = UniMol2ForPretraining(_config_of(params, model))
    if model is not None:
        load_weights(network, model / WEIGHTS)
    return network


def new_property_model(
    params: ModelParams, model: Path | None, targets: Targets, head_dropout: float, seed: int
) -> UniMol2ForProperties:
    """A network with a fresh property head on a pretrained, or with `model` None a fresh, backbone.

    A pretrained model brings its own configuration; of `params` only the dropouts apply then.
    """
    torch.manual_seed(seed)
    network = _property_model(_config_of(params, model), targets, head_dropout)
    if model is not None:
        load_weights(network, model / WEIGHTS, part="backbone")
    return network


def _config_of(params: ModelParams, model: Path | None) -> ModelConfig:
    if model is None:
        return model_config(params)
    dropouts = {name: value for name, value in params.overrides().items() if name.endswith("dropout")}
    return ModelConfig.from_dict(read_config(model / WEIGHTS).to_dict() | dropouts)


def _property_model(config: ModelConfig, targets: Targets, head_dropout: float = 0.0) -> UniMol2ForProperties:
    counts = [target.classes for target in targets.targets]
    return UniMol2ForProperties(
        config, outputs=counts if targets.head == "multitask" else sum(counts), head_dropout=head_dropout
    )


def load_predictor(folder: Path) -> tuple[dict[str, UniMol2ForProperties], Targets]:
    """The fine-tuned networks of a predictor, and its targets.

    Returns:
        The networks by member, `{"": network}` where a single one was trained; their outputs are all on the
        scale of the targets.
    """
    targets = read_targets(folder)
    if not (folder / MEMBERS).is_dir():
        return {"": _load_network(folder / WEIGHTS, targets)}, targets
    networks = {}
    for member in sorted((folder / MEMBERS).iterdir()):
        own = read_targets(member)
        networks[member.name] = _load_network(member / WEIGHTS, own)
        _bring_to_scale(networks[member.name], own, targets)
    return networks, targets


def read_targets(folder: Path) -> Targets:
    """What a predictor, or a member of one, predicts."""
    return Targets.model_validate_json((folder / TARGETS).read_text(encoding="utf-8"))


def load_on_all_ranks(
    weights: Path, config: ModelConfig, targets: Targets, device: torch.device
) -> UniMol2ForProperties:
    """A fine-tuned network on every rank's device; every rank must call it.

    Only the first rank reads: to the others, a file that was replaced a moment ago may still be the old one
    where nodes share a folder over NFS.
    """
    if dist.get_rank() == 0:
        network = _load_network(weights, targets).to(device)
    else:
        network = _property_model(config, targets).to(device).eval()
    for tensor in network.state_dict().values():
        dist.broadcast(tensor, src=0)
    return network


def _load_network(weights: Path, targets: Targets) -> UniMol2ForProperties:
    network = _property_model(read_config(weights), targets)
    load_weights(network, weights)
    return network.eval()


def _bring_to_scale(network: UniMol2ForProperties, own: Targets, wanted: Targets) -> None:
    """Have a network of one scale answer on another: every fold has a training split of its own."""
    scale, shift = torch.ones(network.outputs), torch.zeros(network.outputs)
    for mine, theirs in zip(own.targets, wanted.targets, strict=True):
        columns = own.columns_of(mine.name)
        scale[columns] = mine.std / theirs.std
        shift[columns] = (mine.mean - theirs.mean) / theirs.std
    network.head.rescale(scale, shift)


def load_pretrained(folder: Path) -> UniMol2ForPretraining:
    """A pretrained network."""
    network = UniMol2ForPretraining(read_config(folder / WEIGHTS))
    load_weights(network, folder / WEIGHTS)
    return network.eval()


def write_config(folder: Path, config: ModelConfig) -> None:
    """Write the network's configuration beside its weights, for people and other programs."""
    (folder / CONFIG).write_text(json.dumps(config.to_dict(), indent=1) + "\n", encoding="utf-8")
