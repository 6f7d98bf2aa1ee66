"""Weights files: ours (.safetensors that carry their configuration) and the released checkpoints."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from unimol2_model.backbone import UniMol2Backbone
from unimol2_model.checkpoint import read_checkpoint, write_checkpoint
from unimol2_model.config import SIZES, ModelConfig
from unimol2_model.pretraining import UniMol2ForPretraining
from unimol2_model.property import UniMol2ForProperties
from unimol2_model.released import WeightsError, from_released, infer_config, is_released, to_released

Model = UniMol2Backbone | UniMol2ForPretraining | UniMol2ForProperties
Part = Literal["all", "backbone"]

_BACKBONE = "backbone."
_CONFIG_KEY = "config"
_NAMES_SHOWN = 8


def load_weights(model: Model, path: Path | str, *, part: Part = "all") -> None:
    """Copy a file's weights into a model, in the model's own precision and on its own device.

    Args:
        model: of the same architecture as the file.
        path: a .safetensors file (our names or the released ones) or a released checkpoint.pt; no code in it
            is run.
        part: "backbone" takes only the backbone's weights and leaves the model's heads as they are; for a
            `UniMol2Backbone` that is the only part there is.

    Raises:
        WeightsError: the file cannot be read, holds anything but weights, or does not fit; by name.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    weights = _read_ours(path)
    target: nn.Module = model
    if part == "backbone" or isinstance(model, UniMol2Backbone):
        target = model if isinstance(model, UniMol2Backbone) else model.backbone
        if any(name.startswith(_BACKBONE) for name in weights):
            weights = {
                name.removeprefix(_BACKBONE): tensor
                for name, tensor in weights.items()
                if name.startswith(_BACKBONE)
            }
    try:
        _check_fit(path, weights, target.state_dict())
    except WeightsError as error:
        raise WeightsError(f"{error}{_other_size(path, model.config)}") from None
    target.load_state_dict(weights)


def save_weights(model: Model, path: Path | str) -> None:
    """Write a model's weights and configuration as .safetensors; the file appears complete or not at all."""
    write_weights(model.state_dict(), model.config, path)


def write_weights(weights: Mapping[str, Tensor], config: ModelConfig, path: Path | str) -> None:
    """Write weights under our names, as a training engine gathers them; see `save_weights`."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    # One key only: safetensors writes several in an order that differs from process to process.
    metadata = {_CONFIG_KEY: json.dumps(config.to_dict())}
    _replace(Path(path), lambda partial: save_file(tensors, partial, metadata=metadata))


def read_config(path: Path | str) -> ModelConfig:
    """Return the architecture of the network whose weights a file holds.

    Ours carry it; of released weights it is read off the shapes, with the default `length_rule`.

    Raises:
        WeightsError: the file cannot be read or does not describe a network.
        FileNotFoundError: there is no such file.
    """
    path = Path(path)
    text = _metadata(path).get(_CONFIG_KEY) if path.suffix == ".safetensors" else None
    if text is None:
        weights = _read(path)
        if not is_released(weights):
            raise WeightsError(f"{path}: no {_CONFIG_KEY!r} in the file's metadata, and no released names")
        return infer_config(weights)
    try:
        return ModelConfig.from_dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{path}: the {_CONFIG_KEY!r} in its metadata is unusable: {error}") from error


def convert(source: Path | str, target: Path | str) -> ModelConfig:
    """Rewrite released weights as ours or ours as released, without changing a bit; return the architecture.

    Args:
        source: a released checkpoint.pt, or a .safetensors file with either kind of names.
        target: the new file; .safetensors gets our names, .pt is a released checkpoint.

    Raises:
        WeightsError: the target's suffix says neither, or the source cannot be read or converted.
        FileNotFoundError: there is no such source.
    """
    source, target = Path(source), Path(target)
    config, ours = read_config(source), _read_ours(source)
    if target.suffix == ".safetensors":
        with torch.device("meta"):
            _check_fit(source, ours, UniMol2ForPretraining(config).state_dict())
        write_weights(ours, config, target)
    elif target.suffix == ".pt":
        released = to_released(ours, config)
        _replace(target, lambda partial: write_checkpoint(partial, released, config))
    else:
        raise WeightsError(f"{target}: expected a name that ends in .safetensors or .pt")
    return config


def _read_ours(path: Path) -> dict[str, Tensor]:
    weights = _read(path)
    if not is_released(weights):
        return weights
    try:
        return from_released(weights)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    if path.suffix == ".pt":
        return read_checkpoint(path)
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path}: expected a .safetensors file or a released checkpoint.pt")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a readable .safetensors file ({error})") from error


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise FileNotFoundError(f"no weights file {path}")
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a readable .safetensors file ({error})") from error


def _check_fit(path: Path, weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    reshaped = [
        f"{name} (file {tuple(weights[name].shape)}, model {tuple(own[name].shape)})"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    problems = {
        "missing in the file": [name for name in own if name not in weights],
        "unknown to the model": [name for name in weights if name not in own],
        "of another shape": reshaped,
    }
    if any(problems.values()):
        listed = "; ".join(f"{what}: {_shorten(names)}" for what, names in problems.items() if names)
        raise WeightsError(f"{path}: does not fit the model; {listed}")


def _other_size(path: Path, config: ModelConfig) -> str:
    """Say in which of its sizes the file's network is another one, if it tells them."""
    try:
        found = read_config(path)
    except WeightsError:
        return ""
    differing = [name for name in SIZES if getattr(found, name) != getattr(config, name)]
    listed = ", ".join(f"{name} {getattr(found, name)} (model {getattr(config, name)})" for name in differing)
    return f"; the file's network has {listed}" if listed else ""


def _shorten(names: Iterable[str]) -> str:
    names = list(names)
    rest = len(names) - _NAMES_SHOWN
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
