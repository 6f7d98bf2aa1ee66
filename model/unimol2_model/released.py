"""What the weights are called in the released checkpoints.

Queries, keys and values, and the three projections of the triangle multiplication, are separate matrices
there and one matrix here.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from unimol2_model.config import ModelConfig
from unimol2_model.embedding import gaussian_means

# Not a parameter here, since a model cast to bf16 would round it.
_MEANS = "se3_invariant_kernel.gaussian.mean"

_OUTSIDE_BLOCKS = {
    "backbone.atom_embedding.tokens": ("embed_tokens",),
    "backbone.atom_embedding.features": ("atom_feature.atom_encoder",),
    "backbone.atom_embedding.degrees": ("atom_feature.degree_encoder",),
    "backbone.pair_embedding.path_lengths": ("edge_feature.shorest_path_encoder",),
    "backbone.pair_embedding.bonds": ("edge_feature.edge_encoder",),
    "backbone.pair_embedding.distance.multiplier": ("se3_invariant_kernel.gaussian.mul",),
    "backbone.pair_embedding.distance.offset": ("se3_invariant_kernel.gaussian.bias",),
    "backbone.pair_embedding.distance.inner": ("se3_invariant_kernel.out_proj.layer1",),
    "backbone.pair_embedding.distance.outer": ("se3_invariant_kernel.out_proj.layer2",),
    "backbone.atom_norm": ("encoder.layer_norm",),
    "backbone.pair_norm": ("encoder.pair_layer_norm",),
    "position_head.pair_norm": ("movement_pred_head.pair_layer_norm",),
    "position_head.qkv": tuple(f"movement_pred_head.{x}_proj" for x in "qkv"),
    "position_head.pair_bias": ("movement_pred_head.linear_bias",),
    "atom_type_head.inner": ("lm_head.dense",),
    "atom_type_head.outer": ("lm_head",),
}
_WHOLE_NAMES = {
    "backbone.atom_embedding.molecule": "atom_feature.vnode_encoder.weight",
    "backbone.pair_embedding.molecule": "edge_feature.vnode_virtual_distance.weight",
    "position_head.direction": "movement_pred_head.force_proj1.weight",
}
# The LayerNorm in front of a linear layer: a module of its own there, two vectors of the layer here.
_NORMS_OUTSIDE_BLOCKS = {
    "position_head.qkv": "movement_pred_head.layer_norm",
    "atom_type_head.inner": "lm_head.layer_norm",
}
_NORMS_INSIDE_BLOCKS = {
    "attention.qkv": "self_attn_layer_norm",
    "atom_transition.inner": "final_layer_norm",
    "outer_product.inputs": "x_layer_norm_opm",
    "triangle.projections": "pair_layer_norm_trimul",
    "triangle.output": "pair_tri_mul.layer_norm_out",
    "pair_transition.inner": "pair_layer_norm_ffn",
}
_INSIDE_BLOCKS = {
    "attention.qkv": tuple(f"self_attn.linear_{x}" for x in "qkv"),
    "attention.pair_bias": ("self_attn.linear_bias",),
    "attention.out": ("self_attn.linear_o",),
    "atom_transition.inner": ("ffn.linear_1",),
    "atom_transition.outer": ("ffn.linear_2",),
    "outer_product.inputs": ("opm.linear_in",),
    "outer_product.output": ("opm.linear_out",),
    "triangle.projections": tuple(f"pair_tri_mul.linear_{x}" for x in ("ab_p", "ab_g", "g")),
    "triangle.output": ("pair_tri_mul.linear_z",),
    "pair_transition.inner": ("pair_ffn.linear_1",),
    "pair_transition.outer": ("pair_ffn.linear_2",),
}


class WeightsError(ValueError):
    """A weights file that cannot be used, with the reason."""


def is_released(names: Mapping[str, Tensor]) -> bool:
    """Tell whether weights carry released names."""
    return "embed_tokens.weight" in names


def from_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and join released weights without changing a bit; names that are not known stay as they are.

    Raises:
        WeightsError: part of a joined matrix is missing, or the Gaussian means are not the fixed ones.
    """
    remaining = dict(weights)
    means = remaining.pop(_MEANS, None)
    if means is not None and not torch.equal(means.float().cpu(), gaussian_means().to(means.dtype).float()):
        raise WeightsError(
            f"{_MEANS}: this network has the fixed means linspace(0, 9, 128), the file has others"
        )
    ours: dict[str, Tensor] = {}
    for name, parts in _names(_count_blocks(weights)).items():
        present = [part for part in parts if part in remaining]
        if not present:
            continue
        if len(present) < len(parts):
            raise WeightsError(f"missing {', '.join(sorted(set(parts) - set(present)))}, a part of {name}")
        tensors = [remaining.pop(part) for part in parts]
        ours[name] = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
    return ours | remaining


def to_released(weights: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Split and rename the weights of a pretraining model without changing a bit.

    Raises:
        WeightsError: a weight has no released name, or one is missing.
    """
    names = _names(config.blocks)
    unnamed, missing = sorted(set(weights) - set(names)), sorted(set(names) - set(weights))
    if unnamed or missing:
        raise WeightsError(
            "only a pretraining model has released names; "
            f"missing: {', '.join(missing) or 'none'}; without such a name: {', '.join(unnamed) or 'none'}"
        )
    released = {_MEANS: gaussian_means()}
    for name, parts in names.items():
        widths = _part_widths(name, config) if len(parts) > 1 else [len(weights[name])]
        for part, tensor in zip(parts, torch.split(weights[name], widths), strict=True):
            released[part] = tensor.clone()
    return released


def _part_widths(name: str, config: ModelConfig) -> list[int]:
    if ".triangle." in name:
        return [2 * config.pair_hidden_dim, 2 * config.pair_hidden_dim, config.pair_dim]
    return [config.atom_dim] * 3


def infer_config(released: Mapping[str, Tensor]) -> ModelConfig:
    """Read the architecture off the shapes of released weights; what shapes do not tell is the default.

    Raises:
        WeightsError: a weight that tells a width is missing.
    """
    first = "encoder.layers.0"
    try:
        heads, pair_dim = released[f"{first}.self_attn.linear_bias.weight"].shape
        ffn_dim, atom_dim = released[f"{first}.ffn.linear_1.weight"].shape
        pair_hidden_dim = released[f"{first}.pair_tri_mul.linear_z.weight"].shape[1]
    except KeyError as error:
        raise WeightsError(f"missing {error.args[0]}: not the weights of a Uni-Mol2 network") from error
    return ModelConfig(_count_blocks(released), atom_dim, heads, ffn_dim, pair_dim, pair_hidden_dim)


def _count_blocks(released: Mapping[str, Tensor]) -> int:
    found = (re.match(r"encoder\.layers\.(\d+)\.", name) for name in released)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _names(blocks: int) -> dict[str, tuple[str, ...]]:
    """Return, for each weight of ours, the released weights that it is joined from."""
    modules, norms = dict(_OUTSIDE_BLOCKS), dict(_NORMS_OUTSIDE_BLOCKS)
    for i in range(blocks):
        for ours, theirs in _INSIDE_BLOCKS.items():
            modules[f"backbone.blocks.{i}.{ours}"] = tuple(f"encoder.layers.{i}.{part}" for part in theirs)
        for ours, norm in _NORMS_INSIDE_BLOCKS.items():
            norms[f"backbone.blocks.{i}.{ours}"] = f"encoder.layers.{i}.{norm}"
    names: dict[str, tuple[str, ...]] = {ours: (whole,) for ours, whole in _WHOLE_NAMES.items()}
    for ours, theirs in modules.items():
        for leaf in _leaves(ours):
            names[f"{ours}.{leaf}"] = tuple(f"{part}.{leaf}" for part in theirs)
    for ours, norm in norms.items():
        names |= {f"{ours}.norm_{leaf}": (f"{norm}.{leaf}",) for leaf in ("weight", "bias")}
    return names


def _leaves(module: str) -> tuple[str, ...]:
    table = (
        module.startswith("backbone.") and "_embedding." in module and not module.endswith(("inner", "outer"))
    )
    return ("weight",) if table or module.endswith("qkv") else ("weight", "bias")
