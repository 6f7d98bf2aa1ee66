"""Weights in and out, ours and the released ones."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from released_values import Golden
from safetensors.torch import load_file, save_file
from small_networks import random_model

from unimol2_model import (
    ModelConfig,
    UniMol2Backbone,
    UniMol2ForPretraining,
    UniMol2ForProperties,
    WeightsError,
    convert,
    load_weights,
    read_config,
    save_weights,
)
from unimol2_model.released import from_released, to_released


def _same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_both_released_formats_give_the_same_model(golden: Golden) -> None:
    model = UniMol2ForPretraining(read_config(golden.safetensors))
    load_weights(model, golden.safetensors)
    assert _same(model.state_dict(), golden.model().state_dict())


def test_conversion_there_and_back_changes_no_bit(golden: Golden, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "model.safetensors", tmp_path / "checkpoint.pt"
    config = convert(golden.checkpoint, ours)
    assert config == read_config(ours) == convert(ours, theirs) == read_config(theirs)
    names = load_file(golden.safetensors)
    converted = torch.load(theirs, weights_only=False)
    assert _same(converted["model"], names)
    assert converted["args"].encoder_embed_dim == config.atom_dim
    assert _same(to_released(from_released(names), config), names)


def test_our_file_describes_itself(tmp_path: Path) -> None:
    model = random_model(length_rule="padded", dropout=0.3)
    save_weights(model, tmp_path / "model.safetensors")
    again = UniMol2ForPretraining(read_config(tmp_path / "model.safetensors"))
    load_weights(again, tmp_path / "model.safetensors")
    assert again.config == model.config
    assert _same(again.state_dict(), model.state_dict())
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_backbone_of_a_pretrained_model_moves_into_others(tmp_path: Path) -> None:
    model, path = random_model(), tmp_path / "model.safetensors"
    save_weights(model, path)
    properties = UniMol2ForProperties(model.config, outputs=2)
    head = {name: tensor.clone() for name, tensor in properties.head.state_dict().items()}
    load_weights(properties, path, part="backbone")
    assert _same(properties.backbone.state_dict(), model.backbone.state_dict())
    assert _same(properties.head.state_dict(), head)
    backbone = UniMol2Backbone(model.config)
    load_weights(backbone, path)
    assert _same(backbone.state_dict(), model.backbone.state_dict())
    save_weights(backbone, path)
    load_weights(UniMol2ForProperties(model.config, outputs=2), path, part="backbone")


def test_weights_of_another_size_are_told_by_that_size(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(random_model(blocks=3, pair_dim=16), path)
    with pytest.raises(WeightsError, match=r"network has blocks 3 \(model 2\), pair_dim 16 \(model 24\)$"):
        load_weights(random_model(), path)


def test_missing_and_unexpected_weights_are_named(tmp_path: Path) -> None:
    model, path = random_model(), tmp_path / "model.safetensors"
    save_weights(model, path)
    with pytest.raises(WeightsError, match=r"missing.*head\.inner\.weight.*unknown.*position_head"):
        load_weights(UniMol2ForProperties(model.config, outputs=2), path)


def test_weights_of_another_size_are_refused_before_anything_changes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(random_model(), path)
    other = random_model(pair_dim=16)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(WeightsError, match=r"pair_norm\.weight \(file \(24,\), model \(16,\)\)"):
        load_weights(other, path)
    assert _same(other.state_dict(), before)


class _Shell:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_code_in_a_checkpoint_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    path, marker = tmp_path / "checkpoint.pt", tmp_path / "marker"
    torch.save({"args": None, "model": {}, "extra": _Shell(marker)}, path)
    with pytest.raises(WeightsError, match=r"posix\.system"):
        read_config(path)
    assert not marker.exists()
    torch.save({"args": Counter(), "model": {}, "extra": Path("x")}, path)
    with pytest.raises(WeightsError, match=r"refused, because it holds .*pathlib"):
        read_config(path)


def test_a_network_that_this_one_cannot_be_is_refused(golden: Golden, tmp_path: Path) -> None:
    checkpoint = torch.load(golden.checkpoint, weights_only=False)
    checkpoint["args"].notri = True
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    with pytest.raises(WeightsError, match=r"args\.notri is True"):
        load_weights(golden.model(), tmp_path / "checkpoint.pt")


def test_half_a_joined_matrix_is_refused_by_name(golden: Golden, tmp_path: Path) -> None:
    weights = load_file(golden.safetensors)
    del weights["encoder.layers.1.self_attn.linear_k.weight"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(
        WeightsError, match=r"model\.safetensors: missing encoder\.layers\.1\.self_attn\.linear_k\.weight"
    ):
        load_weights(golden.model(), tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint.pt"])
def test_unreadable_files_say_which_and_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        read_config(tmp_path / name)
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match=f"{name}: not a readable"):
        read_config(tmp_path / name)


def test_other_suffixes_and_foreign_tensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"expected a \.safetensors file"):
        load_weights(random_model(), tmp_path / "model.bin")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="no 'config' in the file's metadata"):
        read_config(tmp_path / "other.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", metadata={"config": '{"layers": 3}'})
    with pytest.raises(WeightsError, match="unknown model setting layers"):
        read_config(tmp_path / "other.safetensors")


def test_only_pretraining_models_have_released_names(tmp_path: Path) -> None:
    model = UniMol2ForProperties(random_model().config, outputs=1)
    save_weights(model, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"without such a name: head\.inner\.bias"):
        convert(tmp_path / "model.safetensors", tmp_path / "checkpoint.pt")


def test_weights_load_in_the_models_own_precision(tmp_path: Path) -> None:
    model, path = random_model(), tmp_path / "model.safetensors"
    save_weights(model, path)
    half = UniMol2ForPretraining(replace(model.config)).to(torch.bfloat16)
    load_weights(half, path)
    expected = model.backbone.atom_norm.weight.to(torch.bfloat16)
    assert torch.equal(half.backbone.atom_norm.weight, expected)


def test_presets_survive_the_file(tmp_path: Path) -> None:
    config = ModelConfig.preset("tiny")
    save_weights(UniMol2ForPretraining(config), tmp_path / "tiny.safetensors")
    assert read_config(tmp_path / "tiny.safetensors") == config
