"""What reads properties off a molecule."""

import pytest
import torch

from unimol2_model import ModelConfig, UniMol2ForProperties

CONFIG = ModelConfig(blocks=1, atom_dim=16, heads=1, ffn_dim=8, pair_dim=8, pair_hidden_dim=4)


def test_labels_of_a_multitask_head_share_nothing_after_the_backbone() -> None:
    torch.manual_seed(0)
    network = UniMol2ForProperties(CONFIG, outputs=[1, 3, 1])
    assert network.outputs == 5
    molecules = torch.randn(2, CONFIG.atom_dim)
    before = network.head(molecules)
    label = network.get_submodule("head.labels.1")
    with torch.no_grad():
        for weight in label.parameters():
            weight.add_(0.5)
    changed = (network.head(molecules) != before).all(dim=0)
    assert changed.tolist() == [False, True, True, True, False]
    assert sum(weight.numel() for weight in label.parameters()) == 16 * (16 + 1) + 3 * (16 + 1)


@pytest.mark.parametrize("outputs", [4, [1, 3]])
def test_a_rescaled_head_answers_on_the_other_scale(outputs: int | list[int]) -> None:
    torch.manual_seed(0)
    head = UniMol2ForProperties(CONFIG, outputs).head
    molecules = torch.randn(3, CONFIG.atom_dim)
    scale, shift = torch.tensor([2.0, 0.5, 1.0, -3.0]), torch.tensor([10.0, 0.0, -4.0, 1.0])
    expected = head(molecules) * scale + shift
    head.rescale(scale, shift)
    torch.testing.assert_close(head(molecules), expected)


@pytest.mark.parametrize("outputs", [0, [], [1, 0]])
def test_a_head_without_an_output_is_refused(outputs: int | list[int]) -> None:
    with pytest.raises(ValueError, match="at least 1 property"):
        UniMol2ForProperties(CONFIG, outputs)
