"""Sizes, settings and what is refused."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from unimol2_model import ModelConfig, UniMol2ForPretraining


# Uni-Mol2's table of sizes, counted on the released code.
@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("42M", 43_788_112),
        ("84M", 84_116_080),
        ("164M", 164_772_016),
        ("310M", 310_082_880),
        ("570M", 570_233_696),
        ("1.1B", 1_129_209_696),
    ],
)
def test_published_sizes_have_the_published_number_of_parameters(size: str, parameters: int) -> None:
    with torch.device("meta"):
        model = UniMol2ForPretraining(ModelConfig.preset(size))
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_preset_equals_its_written_out_form() -> None:
    assert ModelConfig.preset("84M") == ModelConfig(
        blocks=12, atom_dim=768, heads=48, ffn_dim=768, pair_dim=512, pair_hidden_dim=64, length_rule="own"
    )


def test_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'85M'.*84M.*1\.1B.*tiny"):
        ModelConfig.preset("85M")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("blocks", 0),
        ("atom_dim", 1.5),
        ("pair_dim", "48"),
        ("heads", 7),
        ("dropout", 1.0),
        ("attention_dropout", -0.1),
        ("pair_dropout", None),
        ("length_rule", "longest"),
        ("initialisation", "zeros"),
    ],
)
def test_impossible_value_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}:"):
        replace(ModelConfig.preset("tiny"), **{field: value})


def test_plain_values_round_trip() -> None:
    config = replace(ModelConfig.preset("tiny"), length_rule="padded", dropout=0.2)
    assert ModelConfig.from_dict(config.to_dict()) == config


def test_unknown_and_missing_settings_are_named() -> None:
    values = ModelConfig.preset("tiny").to_dict()
    with pytest.raises(ValueError, match="unknown model setting layers"):
        ModelConfig.from_dict(values | {"layers": 4})
    del values["heads"]
    with pytest.raises(ValueError, match="missing: heads"):
        ModelConfig.from_dict(values)


def test_making_molecules_does_not_import_torch() -> None:
    code = (
        "import sys; from unimol2_model import ModelConfig, Molecule; "
        "import unimol2_model.molecule; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_layerwise_starts_with_silent_branches_and_unscaled_distances() -> None:
    torch.manual_seed(0)
    model = UniMol2ForPretraining(ModelConfig.preset("tiny"))
    block, distance = model.backbone.blocks[0], model.backbone.pair_embedding.distance
    for last in (block.attention.out, block.atom_transition.outer, block.triangle.output, distance.outer):
        assert not last.weight.any()
    assert not block.outer_product.output.weight.any()
    assert (distance.multiplier.weight[1:] == 1).all()
    _, gate, output_gate = torch.split(block.triangle.projections.bias, block.triangle.projections.widths)
    assert (gate == 1).all()
    assert (output_gate == 1).all()
    width = block.atom_transition.inner.in_features
    assert block.atom_transition.inner.weight.std().item() == pytest.approx((2 / width) ** 0.5, rel=0.05)
    assert block.outer_product.inputs.weight.std().item() == pytest.approx(width**-0.5, rel=0.05)


def test_released_starts_every_matrix_at_the_same_width() -> None:
    torch.manual_seed(0)
    config = replace(ModelConfig.preset("tiny"), initialisation="released")
    for name, parameter in UniMol2ForPretraining(config).named_parameters():
        if parameter.ndim == 2 and parameter.numel() > 500:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
