"""What a molecule may hold and how molecules are padded."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import random_molecule

from unimol2_model import MoleculeBatch


def test_padding_is_zero_and_masked() -> None:
    short, long = random_molecule(2, seed=0), random_molecule(5, seed=1)
    batch = MoleculeBatch.collate([short, long])
    assert batch.size == 2
    assert batch.atom_mask.tolist() == [[True, True, False, False, False], [True] * 5]
    assert batch.bond_features.shape == (2, 5, 5, 3)
    np.testing.assert_array_equal(batch.bond_features[0, :2, :2], short.bond_features)
    assert not batch.bond_features[0, 2:].any()
    assert not batch.path_lengths[0, :, 2:].any()
    assert batch.positions.dtype == torch.float32
    assert batch.tokens.dtype == torch.int64


def test_targets_are_optional_but_for_all_or_none() -> None:
    bare = replace(random_molecule(3, seed=0), target_tokens=None, target_positions=None)
    assert MoleculeBatch.collate([bare]).target_tokens is None
    with pytest.raises(ValueError, match="target_tokens: molecule 1"):
        MoleculeBatch.collate([random_molecule(3, seed=1), bare])


@pytest.mark.parametrize(
    ("field", "array", "message"),
    [
        ("degrees", np.zeros(4, dtype=int), r"expected shape \(3,\) for 3 atoms, got \(4,\)"),
        ("path_lengths", np.zeros((3, 2), dtype=int), r"expected shape \(3, 3\)"),
        ("bond_features", np.zeros((3, 3), dtype=int), r"expected shape \(3, 3, 3\)"),
        ("positions", np.zeros((3, 3), dtype=int), "expected floating-point values"),
        ("tokens", np.zeros(3), "expected integer values"),
    ],
)
def test_wrong_array_is_refused_by_its_name(field: str, array: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: {message}"):
        replace(random_molecule(3, seed=0), **{field: array})


def test_a_molecule_without_atoms_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one heavy atom"):
        random_molecule(0, seed=0)


@pytest.mark.parametrize("value", [-1, 512])
def test_index_outside_its_embedding_is_located(value: int) -> None:
    paths = np.ones((3, 3), dtype=int)
    paths[1, 2] = value
    bad = replace(random_molecule(3, seed=0), path_lengths=paths)
    with pytest.raises(ValueError, match=rf"path_lengths: molecule 1 .* holds {value} at \(1, 2\)"):
        MoleculeBatch.collate([random_molecule(2, seed=1), bad])


def test_too_narrow_padding_and_empty_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="pad_to_atoms=2"):
        MoleculeBatch.collate([random_molecule(3, seed=0)], pad_to_atoms=2)
    with pytest.raises(ValueError, match="at least one molecule"):
        MoleculeBatch.collate([])


def test_batches_travel_between_devices_and_processes() -> None:
    batch = MoleculeBatch.collate([random_molecule(3, seed=0)])
    assert batch.to("meta").positions.device.type == "meta"
    assert torch.equal(pickle.loads(pickle.dumps(batch)).positions, batch.positions)  # noqa: S301
    assert pickle.loads(pickle.dumps(random_molecule(3, seed=0))).atoms == 3  # noqa: S301
