"""Prediction in Python: the numbers of the command, in this process."""

import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

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
    assert predictor.predict([None])["reason"].to_list() == ["empty SMILES"]


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
