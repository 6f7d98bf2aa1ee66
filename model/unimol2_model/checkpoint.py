"""The released checkpoint.pt, a pickle `{"args": Namespace, "model": weights}`, read without running it."""

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unimol2_model.config import ModelConfig
from unimol2_model.released import WeightsError

# What the released code can vary and this network cannot.
_FIXED_ARGUMENTS = {
    "activation_fn": "gelu",
    "post_ln": False,
    "notri": False,
    "gaussian_std_width": 1.0,
    "gaussian_mean_start": 0.0,
    "gaussian_mean_stop": 9.0,
}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the weights of a released checkpoint.pt under their released names, on the CPU.

    No code of the file is run: beside tensors and plain values it may hold argparse.Namespace, nothing else.

    Raises:
        WeightsError: the file holds something else, or describes a network that this one cannot be.
    """
    with torch.serialization.safe_globals([argparse.Namespace]):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise WeightsError(f"{path}: {_refusal(path, error)}") from error
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise WeightsError(f'{path}: expected a checkpoint {{"args": ..., "model": weights}}')
    _check_arguments(path, vars(content.get("args") or argparse.Namespace()))
    return weights


def _refusal(path: Path, error: Exception) -> str:
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (pickle.UnpicklingError, RuntimeError, ValueError):
        foreign = []
    if foreign:
        return f"refused, because it holds {', '.join(foreign)}; allowed are tensors and argparse.Namespace"
    return f"not a readable checkpoint ({str(error).splitlines()[0] if str(error) else type(error).__name__})"


def _check_arguments(path: Path, arguments: Mapping[str, Any]) -> None:
    for name, expected in _FIXED_ARGUMENTS.items():
        if arguments.get(name, expected) != expected:
            raise WeightsError(f"{path}: args.{name} is {arguments[name]!r}; this network has {expected!r}")


def write_checkpoint(path: Path, weights: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Write released weights as a checkpoint.pt that the released code reads.

    Args:
        path: the new file.
        weights: under their released names.
        config: becomes `args`.
    """
    arguments = argparse.Namespace(
        encoder_layers=config.blocks,
        encoder_embed_dim=config.atom_dim,
        encoder_attention_heads=config.heads,
        encoder_ffn_embed_dim=config.ffn_dim,
        pair_embed_dim=config.pair_dim,
        pair_hidden_dim=config.pair_hidden_dim,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        pair_dropout=config.pair_dropout,
        activation_dropout=config.activation_dropout,
        masked_token_loss=1.0,
        masked_coord_loss=1.0,
        masked_dist_loss=1.0,
        **_FIXED_ARGUMENTS,
    )
    torch.save({"args": arguments, "model": dict(weights)}, path)
