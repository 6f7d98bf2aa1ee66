"""Atom embeddings: each belongs to the atom that RDKit has at its number in the given text."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rdkit import Chem

from unimol2_tasks import Predictor
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.params import Params, parse_params

WRITTEN = [
    "CCO",
    "[H]OCC",
    "[H]c1c([H])c([H])c([H])c([H])c1C([H])([H])[H]",
    "[2H]C([2H])([2H])O",
    "CC(=O)[O-].[Na+]",
    "Cl.NCCc1ccc(O)c(O)c1",
    "C[C@H](N)C(=O)O",
    "[nH]1cccc1",
    "O=[N+]([O-])c1ccccc1",
    "c1ccccc1-c1ccccc1 |c:0|",
]


def params(**prepare: object) -> Params:
    return parse_params({"prepare": {"conformers": 2, **prepare}})


@pytest.fixture(scope="module")
def model(small_model: ArtifactRef) -> Predictor:
    return Predictor.load(small_model.uri, params())


def of_row(frame: pl.DataFrame, row: int) -> pl.DataFrame:
    return frame.filter(pl.col("row") == row)


def vectors(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(pl.col("^embedding:.*$")).to_numpy()


def test_every_heavy_atom_has_its_number_and_element(model: Predictor) -> None:
    frame = model.embed(WRITTEN, atoms=True)
    assert frame["reason"].null_count() == frame.height
    for row, text in enumerate(WRITTEN, start=1):
        mol = Chem.MolFromSmiles(text)
        heavy = {atom.GetIdx(): atom.GetSymbol() for atom in mol.GetAtoms() if atom.GetAtomicNum() > 1}
        atoms = of_row(frame, row)
        assert dict(zip(atoms["atom_index"], atoms["element"], strict=True)) == heavy, text


@pytest.mark.parametrize("text", ["CC(=O)Oc1ccccc1C(=O)O", "Cn1cnc2c1c(=O)n(C)c(=O)n2C", "C[C@H](N)C(=O)O"])
def test_an_atom_keeps_its_embedding_however_the_molecule_is_written(model: Predictor, text: str) -> None:
    mol = Chem.MolFromSmiles(text)
    expected = vectors(model.embed([text], atoms=True))
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(mol.GetNumAtoms()).tolist()
        shuffled = Chem.RenumberAtoms(mol, order)
        written = Chem.MolToSmiles(shuffled, canonical=False)
        properties = shuffled.GetPropsAsDict(includePrivate=True, includeComputed=True)
        # Of each atom of `written` its number in `text`.
        numbers = [order[place] for place in properties["_smilesAtomOutputOrder"]]
        found = model.embed([written], atoms=True)
        assert found["atom_index"].to_list() == list(range(mol.GetNumAtoms()))
        np.testing.assert_allclose(vectors(found), expected[numbers], atol=1e-4)


def test_written_hydrogens_change_nothing(model: Predictor) -> None:
    plain = vectors(model.embed(["c1ccccc1C"], atoms=True))
    explicit = model.embed(["[H]c1c([H])c([H])c([H])c([H])c1C([H])([H])[H]"], atoms=True)
    np.testing.assert_allclose(vectors(explicit), plain, atol=1e-5)


def test_atoms_that_standardisation_takes_away_have_no_row(small_model: ArtifactRef) -> None:
    text = "[Na+].[O-]C(=O)CC"
    parent = Predictor.load(small_model.uri, params(standardise="parent"))
    frame = parent.embed([text], atoms=True)
    assert frame["atom_index"].to_list() == [1, 2, 3, 4, 5]
    assert frame["element"].to_list() == ["O", "C", "O", "C", "C"]
    acid = parent.embed(["OC(=O)CC"], atoms=True)
    np.testing.assert_allclose(vectors(frame), vectors(acid), atol=1e-5)


def test_a_row_that_failed_has_one_line_with_its_reason(model: Predictor) -> None:
    frame = model.embed(["CCO", "CCX", "C"], atoms=True)
    failed = of_row(frame, 2)
    assert failed.select("atom_index", "element", "embedding:0").row(0) == (None, None, None)
    assert "syntax error" in failed["reason"][0]
    assert frame["row"].to_list() == [1, 1, 1, 2, 3]


def test_symmetric_atoms_are_alike_and_others_are_not(model: Predictor) -> None:
    """Averaged over conformers, so nearly: no conformer is exactly symmetric."""
    found = vectors(model.embed(["CCC"], atoms=True))
    assert np.abs(found[0] - found[2]).max() < 0.1 * np.abs(found[0] - found[1]).max()


def test_an_sdf_record_numbers_its_atoms_as_rdkit_does(tmp_path: Path, small_model: ArtifactRef) -> None:
    from unimol2_tasks.chemistry.structure import Structure
    from unimol2_tasks.stages.prediction.units import prepare_numbered

    mol = Chem.AddHs(Chem.MolFromSmiles("OCC"))
    # Hydrogens first, as some programs write them.
    order = sorted(range(mol.GetNumAtoms()), key=lambda index: mol.GetAtomWithIdx(index).GetAtomicNum())
    block = Chem.MolToMolBlock(Chem.RenumberAtoms(mol, order))
    prepared = prepare_numbered(Structure(mol_block=block), params().prepare)
    read = Chem.MolFromMolBlock(block)
    symbols = [read.GetAtomWithIdx(int(index)).GetAtomicNum() for index in prepared.atom_map]
    assert symbols == prepared.tokens.tolist()
    assert sorted(prepared.atom_map.tolist()) == [0, 1, 2]
