"""The laws of pretraining's corruption."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from unimol2_model.molecule import Molecule
from unimol2_tasks.chemistry.preparation import prepare_molecule
from unimol2_tasks.datasets import corruption
from unimol2_tasks.datasets.corruption import corrupt
from unimol2_tasks.datasets.order import Visit
from unimol2_tasks.datasets.records import MoleculeRecord
from unimol2_tasks.params import PrepareParams, PretrainParams

VISITS = 400
FIRST_VISIT = Visit(0, 0)


def _record(smiles: str) -> MoleculeRecord:
    prepared = prepare_molecule(smiles, PrepareParams(conformers=3))
    values = {field.name: getattr(prepared, field.name) for field in fields(prepared)}
    return MoleculeRecord(**values, row=1, id="1", labels=())


ASPIRIN = _record("CC(=O)Oc1ccccc1C(=O)O")
ALANINE = _record("C[C@H](N)C(=O)O")
METHANE = _record("C")


def _sample(
    visit: Visit = FIRST_VISIT, record: MoleculeRecord = ASPIRIN, seed: int = 0, **params: Any
) -> Molecule:
    return corrupt([record], PretrainParams(seed=seed, **params), [visit])[0]


def align(moving: NDArray[Any], fixed: NDArray[Any]) -> NDArray[np.float64]:
    """One alone."""
    return corruption.align([moving], [fixed])[0]


def _samples(record: MoleculeRecord = ASPIRIN, **params: Any) -> list[Molecule]:
    return [_sample(Visit(0, index), record, **params) for index in range(VISITS)]


def _arrays(molecule: Molecule) -> dict[str, NDArray[Any]]:
    return {field.name: getattr(molecule, field.name) for field in fields(molecule)}


def _same(one: Molecule, other: Molecule) -> bool:
    return all(np.array_equal(value, _arrays(other)[name]) for name, value in _arrays(one).items())


visits = st.builds(Visit, epoch=st.integers(0, 2**31), index=st.integers(0, 2**31))


@given(seed=st.integers(0, 2**31), visit=visits)
def test_a_sample_depends_on_seed_epoch_and_index_alone(seed: int, visit: Visit) -> None:
    first = _sample(visit, seed=seed)
    _sample(Visit(visit.epoch + 1, visit.index), ALANINE, seed)
    assert _same(_sample(visit, seed=seed), first)


def test_a_sample_is_the_same_in_any_company() -> None:
    records = [ASPIRIN, METHANE, ALANINE, ASPIRIN]
    visits = [Visit(epoch, epoch) for epoch in range(4)]
    together = corrupt(records, PretrainParams(), visits)
    for sample, record, visit in zip(together, records, visits, strict=True):
        assert _same(sample, _sample(visit, record))


@given(seed=st.integers(0, 2**31), visit=visits)
def test_seed_epoch_and_index_each_change_the_sample(seed: int, visit: Visit) -> None:
    first = _sample(visit, seed=seed)
    assert not _same(first, _sample(visit, seed=seed + 1))
    assert not _same(first, _sample(Visit(visit.epoch + 1, visit.index), seed=seed))
    assert not _same(first, _sample(Visit(visit.epoch, visit.index + 1), seed=seed))


def test_the_stored_molecule_stays_as_it_was() -> None:
    before = {name: value.copy() for name, value in _arrays(ASPIRIN.molecule()).items() if value is not None}
    _samples()
    for name, value in before.items():
        np.testing.assert_array_equal(value, _arrays(ASPIRIN.molecule())[name])


@pytest.mark.parametrize("probability", [0.15, 0.3, 0.5])
def test_on_average_the_exact_share_of_atoms_is_masked(probability: float) -> None:
    atoms = len(ASPIRIN.tokens)
    counts = np.array([(sample.tokens == 127).sum() for sample in _samples(mask_probability=probability)])
    # A count is one of two neighbouring integers, so its standard deviation is at most 1/2.
    assert counts.mean() == pytest.approx(probability * atoms, abs=4 * 0.5 / np.sqrt(VISITS))
    assert set(counts) <= {int(probability * atoms), int(probability * atoms) + 1}


@pytest.mark.parametrize("record", [METHANE, ALANINE])
def test_at_least_one_atom_is_masked(record: MoleculeRecord) -> None:
    assert min((sample.tokens == 127).sum() for sample in _samples(record, mask_probability=0.01)) == 1


def test_masked_atoms_carry_their_element_as_target_and_the_others_none() -> None:
    for sample in _samples()[:50]:
        assert sample.target_tokens is not None
        masked = sample.tokens == 127
        np.testing.assert_array_equal(sample.target_tokens[masked], ASPIRIN.tokens[masked])
        assert not sample.target_tokens[~masked].any()
        np.testing.assert_array_equal(sample.tokens[~masked], ASPIRIN.tokens[~masked])


def test_every_atom_gets_its_turn_to_be_masked() -> None:
    often = np.mean([sample.tokens == 127 for sample in _samples()], axis=0)
    assert often == pytest.approx(0.15, abs=4 * np.sqrt(0.15 * 0.85 / VISITS))


def test_gaussian_noise_has_the_asked_width_on_all_atoms() -> None:
    samples = _samples(noise_scale=0.2, flat_probability=0.0)
    noise = [sample.positions - np.asarray(sample.target_positions) for sample in samples]
    atoms = len(ASPIRIN.tokens)
    # Alignment takes the three translations and three rotations out of the 3n displacements.
    expected = 0.2 * np.sqrt((3 * atoms - 6) / (3 * atoms))
    assert np.sqrt(np.mean(np.square(noise))) == pytest.approx(expected, rel=0.02)


def test_noised_positions_need_no_further_motion() -> None:
    for sample in _samples(flat_probability=0.0)[:100]:
        assert sample.target_positions is not None
        np.testing.assert_allclose(sample.target_positions.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(
            align(sample.positions, sample.target_positions), sample.positions, atol=1e-5
        )


def test_uniform_noise_moves_the_masked_atoms_only_and_within_its_bounds() -> None:
    for sample in _samples(noise="uniform", noise_scale=1.0, flat_probability=0.0)[:100]:
        assert sample.target_positions is not None
        masked = sample.tokens == 127
        # Undo the alignment: the atoms that were not moved are rigid among themselves.
        restored = _superimpose(sample.positions, sample.target_positions, ~masked)
        moved = np.abs(restored - sample.target_positions)
        assert moved[~masked].max() < 1e-5
        assert 0 < np.linalg.norm(moved[masked], axis=1).max() <= np.sqrt(3) + 1e-5


def _superimpose(moving: NDArray[Any], fixed: NDArray[Any], rigid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """All of `moving` after the motion that brings its `rigid` part onto `fixed` (scipy's, not ours)."""
    centre, target = moving[rigid].mean(axis=0), fixed[rigid].mean(axis=0)
    rotation, _ = Rotation.align_vectors(fixed[rigid] - target, moving[rigid] - centre)
    restored: NDArray[np.float64] = rotation.apply(moving - centre) + target
    return restored


def test_a_hidden_graph_is_the_released_codes_constants_and_keeps_the_conformer() -> None:
    sample = _sample(feature_drop=1.0, flat_probability=1.0)
    assert set(np.unique(sample.atom_features)) == {1}
    assert set(np.unique(sample.bond_features)) == {1}
    assert set(np.unique(sample.degrees)) == {1}
    assert set(np.unique(sample.path_lengths)) == {511}
    assert np.ptp(np.asarray(sample.target_positions)[:, 2]) > 0.1


def test_a_visible_graph_is_the_molecules_own() -> None:
    sample, clean = _sample(feature_drop=0.0), ASPIRIN.molecule()
    for name in ("atom_features", "bond_features", "degrees", "path_lengths", "pair_types"):
        np.testing.assert_array_equal(getattr(sample, name), getattr(clean, name))


def test_graphs_are_hidden_and_molecules_flat_as_often_as_asked() -> None:
    samples = _samples(feature_drop=0.5, flat_probability=0.5)
    hidden = np.array([(sample.path_lengths == 511).all() for sample in samples])
    flat = np.array([np.ptp(np.asarray(sample.target_positions)[:, 2]) == 0 for sample in samples])
    assert hidden.mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(VISITS))
    assert flat.mean() == pytest.approx(0.25, abs=4 * 0.5 / np.sqrt(VISITS))
    assert not (hidden & flat).any()


def test_every_conformer_is_drawn() -> None:
    targets = {np.asarray(sample.target_positions).tobytes() for sample in _samples(flat_probability=0.0)}
    assert len(targets) == ASPIRIN.conformers


@given(seed=st.integers(0, 2**31), shift=st.tuples(*[st.floats(-50, 50)] * 3))
def test_alignment_recovers_a_rotated_and_shifted_copy(seed: int, shift: tuple[float, float, float]) -> None:
    fixed = ASPIRIN.positions[0].astype(np.float64)
    moving = Rotation.random(rng=seed).apply(fixed) + shift
    np.testing.assert_allclose(align(moving, fixed), fixed, atol=1e-6)


@given(seed=st.integers(0, 2**31))
def test_alignment_is_as_close_as_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fixed, moving = rng.normal(size=(2, 8, 3))
    fixed, moving = fixed - fixed.mean(axis=0), moving - moving.mean(axis=0)
    _, distance = Rotation.align_vectors(fixed, moving)
    assert np.linalg.norm(align(moving, fixed) - fixed) == pytest.approx(distance, rel=1e-6)


def test_alignment_never_turns_a_molecule_into_its_mirror_image() -> None:
    fixed = ALANINE.positions[0].astype(np.float64)
    aligned = align(fixed * [1, 1, -1], fixed)

    def handedness(positions: NDArray[np.float64]) -> float:
        """Sign of the volume that the neighbours of the stereocentre span."""
        return float(np.sign(np.linalg.det(positions[[0, 2, 3]] - positions[1])))

    assert handedness(aligned) == -handedness(fixed)


@pytest.mark.parametrize("smiles", ["C", "CC", "C#N", "c1ccccc1"])
def test_points_lines_and_planes_are_aligned_too(smiles: str) -> None:
    fixed = _record(smiles).positions[0].astype(np.float64)
    moving = Rotation.random(rng=1).apply(fixed) + 3.0
    np.testing.assert_allclose(align(moving, fixed), fixed, atol=1e-6)
