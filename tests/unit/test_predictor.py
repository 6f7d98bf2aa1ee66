"""Prediction in Python: the numbers of the command, in this process."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from unimol2_tasks import Predictor
from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.errors import ArtifactError, UserError
from unimol2_tasks.params import parse_params
from unimol2_tasks.stages.predict import PredictInputs, run, run_embed

SMILES = ["CCO", "not_a_molecule", "c1ccccc1C", "", "[Na+].CC(=O)[O-]"]
PARAMS = parse_params({"prepare": {"conformers": 2, "workers": 1}, "predict": {"unit_rows": 2}})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    pl.DataFrame({"number": range(1, 6), "smiles": SMILES}).write_csv(path)
    return path


@pytest.mark.usefixtures("inference_here")
def test_predictions_are_those_of_the_command(
    tmp_path: Path, table: Path, small_ensemble: ArtifactRef
) -> None:
    out = tmp_path / "p.parquet"
    run(PARAMS, PredictInputs(small_ensemble.uri, str(table)), str(out))
    found = Predictor.load(small_ensemble.uri).predict(SMILES)
    assert_frame_equal(found, pl.read_parquet(out), rel_tol=0, abs_tol=1e-5)
    assert found["reason"][3] == "empty SMILES"


@pytest.mark.usefixtures("inference_here")
@pytest.mark.parametrize("atoms", [False, True])
@pytest.mark.parametrize("artifact", ["small_model", "small_predictor"])
def test_embeddings_are_those_of_the_command(
    tmp_path: Path, table: Path, request: pytest.FixtureRequest, artifact: str, atoms: bool
) -> None:
    uri, out = request.getfixturevalue(artifact).uri, tmp_path / "e.parquet"
    run_embed(PARAMS, PredictInputs(uri, str(table)), str(out), atoms=atoms)
    found = Predictor.load(uri, PARAMS).embed(SMILES, atoms=atoms)
    assert_frame_equal(found, pl.read_parquet(out), rel_tol=0, abs_tol=1e-5)


def test_any_column_of_texts_will_do(small_predictor: ArtifactRef) -> None:
    predictor = Predictor.load(Path(small_predictor.uri))
    expected = predictor.predict(["CCO", "C"])
    for smiles in (pl.Series(["CCO", "C"]), ("CCO", "C"), iter(["CCO", " C "])):
        assert_frame_equal(predictor.predict(smiles), expected)


class NAType:
    """What pandas calls the type of its NA."""


@pytest.mark.parametrize("missing", [None, float("nan"), np.float32("nan"), NAType()])
def test_a_missing_molecule_keeps_its_row_and_says_so(small_predictor: ArtifactRef, missing: Any) -> None:
    table = Predictor.load(small_predictor.uri).predict(np.array(["CCO", missing, "C"], dtype=object))
    assert table["row"].to_list() == [1, 2, 3]
    assert table["smiles"].to_list() == ["CCO", "", "C"]
    assert table["reason"].to_list() == [None, "no molecule was given", None]


def test_columns_of_pandas_are_read_in_their_order_whatever_their_index(small_predictor: ArtifactRef) -> None:
    pandas = pytest.importorskip("pandas", reason="comes with the extra dask")
    predictor = Predictor.load(small_predictor.uri)
    for kind in ("object", "string", "str"):
        found = predictor.predict(pandas.Series(["C", None, "CCO"], index=[7, 7, 0], dtype=kind))
        assert found["smiles"].to_list() == ["C", "", "CCO"]
        assert found["reason"].to_list() == [None, "no molecule was given", None]
    with pytest.raises(TypeError, match="got a whole DataFrame"):
        predictor.predict(pandas.DataFrame({"smiles": ["C"]}))


def test_molecules_of_rdkit_are_those_of_their_smiles(small_predictor: ArtifactRef) -> None:
    predictor = Predictor.load(small_predictor.uri)
    smiles = ["C/C=C\\[C@H](O)Cl", "[2H]C([2H])O", "c1cc[nH]c1", "[Na+].CC(=O)[O-]"]
    expected, found = predictor.predict(smiles), predictor.predict(map(Chem.MolFromSmiles, smiles))
    assert_frame_equal(found.drop("smiles"), expected.drop("smiles"), rel_tol=0, abs_tol=1e-5)
    numbered = ("atom_index", "element")
    atoms = predictor.embed([Chem.AddHs(Chem.MolFromSmiles("CC(=O)[O-].[Na+]"))], atoms=True)
    assert atoms.select(numbered).rows() == [(0, "C"), (1, "C"), (2, "O"), (3, "O"), (4, "Na")]


def test_what_rdkit_cannot_write_down_is_a_row_with_a_reason(small_predictor: ArtifactRef) -> None:
    given = [Chem.MolFromSmiles("c1cccc1", sanitize=False), Chem.MolFromSmarts("[C,N]C"), Chem.Mol()]
    table = Predictor.load(small_predictor.uri).predict([*given, Chem.MolFromSmiles("C")])
    reasons = ["Can't kekulize mol.", "is a wildcard, no element", "no atoms"]
    assert all(part in reason for part, reason in zip(reasons, table["reason"][:3], strict=True))
    assert table["reason"][3] is None


def test_where_coordinates_are_kept_molecules_have_to_have_some(small_model: ArtifactRef) -> None:
    model = Predictor.load(small_model.uri, parse_params({"prepare": {"coordinates": "keep"}}))
    with pytest.raises(UserError, match=r"coordinates=keep.*give Chem.Mol with a conformer in space"):
        model.embed(["CCO", None])
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    table = model.embed([mol, "CCO", Chem.MolFromSmiles("CCO")])
    drawing = "given coordinates are a drawing in two dimensions"
    assert table["reason"].to_list() == [None, "no coordinates were given", drawing]


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        (
            pl.DataFrame({"smiles": ["C"]}),
            r'expected one column, such as df\["smiles"\], got a whole DataFrame',
        ),
        ({"smiles": ["C"]}, "got a whole dict"),
        (["C", 5], r"molecule 2 is int \(5\); expected SMILES as text, a Chem.Mol, or None"),
        (["C", 1.5], r"molecule 2 is float \(1.5\)"),
        ([["C", "CC"]], r"molecule 1 is list \(\['C', 'CC'\]\)"),
        (np.array([["C"], ["CC"]]), "molecule 1 is ndarray"),
        (Chem.MolFromSmiles("C"), "expected several molecules, such as .*, got one Mol"),
        (b"CCO", "got one bytes"),
    ],
)
def test_what_is_no_column_of_molecules_is_refused(
    small_predictor: ArtifactRef, smiles: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        Predictor.load(small_predictor.uri).predict(smiles)


def test_no_molecules_give_an_empty_table(small_ensemble: ArtifactRef) -> None:
    predictor = Predictor.load(small_ensemble.uri)
    frame = predictor.predict([])
    assert frame.height == 0
    assert frame.schema == predictor.predict(["C"]).schema


def test_one_string_is_no_list_of_molecules(small_predictor: ArtifactRef) -> None:
    with pytest.raises(TypeError, match=r"expected several molecules, such as \['CCO'\]"):
        Predictor.load(small_predictor.uri).predict("CCO")


def test_a_pretrained_model_does_not_predict(small_model: ArtifactRef) -> None:
    with pytest.raises(UserError, match="is a model; only a predictor"):
        Predictor.load(small_model.uri).predict(["CCO"])


def test_an_ensemble_does_not_embed(small_ensemble: ArtifactRef) -> None:
    with pytest.raises(UserError, match="an ensemble of 3 networks"):
        Predictor.load(small_ensemble.uri).embed(["CCO"])


def test_what_has_no_network_does_not_embed(tmp_path: Path, table: Path) -> None:
    store, uri = Store(), str(tmp_path / "law")
    with store.draft(uri) as draft:
        (draft / "law.json").write_text("{}")
        store.publish(draft, uri, Recipe("law", {}))
    with pytest.raises(UserError, match=r"law: is a law; only a model.* or a predictor.* embeds"):
        Predictor.load(uri).embed(["CCO"])
    with pytest.raises(UserError, match="law: is a law; only a model"):
        run_embed(PARAMS, PredictInputs(uri, str(table)), str(tmp_path / "e.parquet"))


def test_files_are_read_once(tmp_path: Path, small_predictor: ArtifactRef) -> None:
    folder = Path(shutil.copytree(small_predictor.uri, tmp_path / "predictor"))
    predictor = Predictor.load(folder)
    predictions, embeddings = predictor.predict(["CCO"]), predictor.embed(["CCO"])
    shutil.rmtree(folder)
    assert_frame_equal(predictor.predict(["CCO"]), predictions)
    assert_frame_equal(predictor.embed(["CCO"]), embeddings)


def test_a_predictor_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nowhere: no artifact there"):
        Predictor.load(tmp_path / "nowhere")


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = (
        "import sys, unimol2_tasks; print(sorted({'torch', 'rdkit', 'polars'} & sys.modules.keys()));"
        "from unimol2_tasks import Predictor; print('deepspeed' in sys.modules, 'prefect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "False False"]
