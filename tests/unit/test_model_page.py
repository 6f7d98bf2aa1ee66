"""The page about the network against the network: diagrams, names, sizes and the Python that it shows."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from torch import nn

from unimol2_model import ModelConfig, Molecule, MoleculeBatch, UniMol2ForPretraining, UniMol2ForProperties
from unimol2_tasks.chemistry.features import graph_features

TEXT = (Path(__file__).parents[2] / "docs" / "model.md").read_text(encoding="utf-8")
TINY = ModelConfig.preset("tiny")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def modules_of(diagram: str) -> list[str]:
    """The modules of a diagram in the order of their definition; rounded nodes are tensors."""
    return re.findall(r'\w\["(\w+)"\]', diagram)


def children(module: nn.Module) -> set[str]:
    return {name for name, _ in module.named_children()}


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The names that the page's Python defines."""
    return {}


@pytest.fixture
def methanol(page: dict[str, Any]) -> Molecule:
    if "methanol" not in page:
        exec(fenced("python")[0], page)  # noqa: S102
    molecule: Molecule = page["methanol"]
    return molecule


def test_first_diagram_shows_every_part_of_both_networks() -> None:
    pretraining, properties = UniMol2ForPretraining(TINY), UniMol2ForProperties(TINY, outputs=1)
    parts = children(pretraining) | children(properties) | children(pretraining.backbone)
    assert sorted(modules_of(fenced("mermaid")[0])) == sorted(parts - {"backbone"})


def test_second_diagram_shows_a_block_in_the_order_of_its_forward_pass(methanol: Molecule) -> None:
    model = UniMol2ForPretraining(TINY).eval()
    called: list[str] = []
    for name, module in model.backbone.blocks[0].named_children():
        module.register_forward_hook(lambda *_, name=name: called.append(name))
    model(MoleculeBatch.collate([methanol]))
    assert modules_of(fenced("mermaid")[1]) == called
    assert set(called) == children(model.backbone.blocks[0])


def test_formulas_name_every_module_and_no_other() -> None:
    pretraining, properties = UniMol2ForPretraining(TINY), UniMol2ForProperties(TINY, outputs=1)
    branches = {
        **dict(pretraining.backbone.blocks[0].named_children()),
        "atom_type_head": pretraining.atom_type_head,
        "head": properties.head,
    }
    modules = {f"{branch}.{part}" for branch, module in branches.items() for part in children(module)}
    named = set(re.findall(rf"\b(?:{'|'.join(branches)})\.\w+", "".join(fenced("text"))))
    assert named == modules - {"head.dropout"}


def test_sizes_are_those_of_the_presets() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| ([\d |,]+) \|$", TEXT, re.MULTILINE)
    assert [size for size, _ in rows] == ["tiny", "42M", "84M", "164M", "310M", "570M", "1.1B"]
    for size, cells in rows:
        config = ModelConfig.preset(size)
        with torch.device("meta"):
            parameters = sum(p.numel() for p in UniMol2ForPretraining(config).parameters())
        assert [int(cell.replace(",", "")) for cell in cells.split("|")] == [
            config.blocks, config.atom_dim, config.heads, config.pair_dim, config.pair_hidden_dim, parameters,
        ]  # fmt: skip
        assert config.ffn_dim == config.atom_dim


def test_methanol_by_hand_is_methanol_by_rdkit(methanol: Molecule) -> None:
    expected = graph_features(Chem.MolFromSmiles("CO")).molecule(methanol.positions)
    assert methanol.target_tokens is not None
    tokens = np.where(methanol.target_tokens, methanol.target_tokens, methanol.tokens)
    np.testing.assert_array_equal(tokens, expected.tokens)
    for field in ("atom_features", "degrees", "bond_features", "path_lengths", "pair_types"):
        np.testing.assert_array_equal(getattr(methanol, field), getattr(expected, field))


def test_the_python_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in fenced("python"):
        exec(block, names)  # noqa: S102
    assert names["out"].atoms.shape == (2, 3, 96)
    assert names["embeddings"].shape == (2, 96)
    assert names["loss"].total.isfinite()
    assert torch.allclose(names["rows"], names["embeddings"][:1].expand(100, -1), atol=1e-5)
    assert names["batch"].tokens.shape == (100, 8)
    assert names["model"].backbone.checkpoint_activations
