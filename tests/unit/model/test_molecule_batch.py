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


@pytest.mark.parametrize("field", ["positions", "target_positions"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_coordinate_that_is_no_number_is_located(field: str, value: float) -> None:
    molecule = random_molecule(3, seed=0)
    coordinates = getattr(molecule, field).copy()
    coordinates[1, 2] = value
    with pytest.raises(
        ValueError, match=rf"^{field}: expected finite coordinates in Å, atom 1 has \[.*{value}\]"
    ):
        replace(molecule, **{field: coordinates})


@pytest.mark.parametrize("value", [-1, 512])
def test_index_outside_its_embedding_is_located(value: int) -> None:
    paths = np.ones((3, 3), dtype=int)
    paths[1, 2] = value
    bad = replace(random_molecule(3, seed=0), path_lengths=paths)
    with pytest.raises(ValueError, match=rf"path_lengths: molecule 1 .* holds {value} at \(1, 2\)"):
        MoleculeBatch.collate([random_molecule(2, seed=1), bad])


@pytest.mark.parametrize("field", ["tokens", "target_tokens"])
@pytest.mark.parametrize("value", [-1, 128])
def test_a_token_that_is_none_is_located(field: str, value: int) -> None:
    bad = replace(random_molecule(2, seed=0), **{field: np.array([6, value])})
    with pytest.raises(
        ValueError, match=rf"^{field}: molecule 1 of the batch holds {value} at \(1,\); .* rows 0\.\.127"
    ):
        MoleculeBatch.collate([random_molecule(4, seed=1), bad])


@pytest.mark.parametrize(("atoms", "padded"), [((1, 3), 4), ((4, 2), 4), ((5, 1), 16)])
def test_batches_are_padded_to_the_smallest_bucket_that_holds_them(
    atoms: tuple[int, ...], padded: int
) -> None:
    batch = MoleculeBatch.collate([random_molecule(n, seed=n) for n in atoms], buckets=[16, 4])
    assert batch.path_lengths.shape == (len(atoms), padded, padded)
    assert batch.atom_mask.sum(dim=1).tolist() == list(atoms)


def test_a_molecule_beyond_the_largest_bucket_is_refused() -> None:
    molecules = [random_molecule(n, seed=n) for n in (2, 9)]
    with pytest.raises(ValueError, match="molecule 1 has 9 atoms, the limit is 8"):
        MoleculeBatch.collate(molecules, buckets=[4, 8])


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one molecule"):
        MoleculeBatch.collate([])


def test_batches_travel_between_devices_and_processes() -> None:
    batch = MoleculeBatch.collate([random_molecule(3, seed=0)])
    assert batch.to("meta").positions.device.type == "meta"
    assert torch.equal(pickle.loads(pickle.dumps(batch)).positions, batch.positions)  # noqa: S301
    assert pickle.loads(pickle.dumps(random_molecule(3, seed=0))).atoms == 3  # noqa: S301
