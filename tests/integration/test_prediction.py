"""Prediction and embedding: one row out for each row in, in order, whatever the batch."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from unimol2_tasks import Predictor
from unimol2_tasks.artifacts.manifest import MANIFEST, ArtifactRef, read_manifest
from unimol2_tasks.artifacts.store import Recipe, Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.errors import UserError
from unimol2_tasks.params import Params
from unimol2_tasks.stages import predict
from unimol2_tasks.stages.verify import verify

LIBRARY = (
    'smiles,name\nCCO,ethanol\nnot_a_molecule,bad\nc1ccccc1C,"tolu,ene"\nCCO,again\n\nC[N+](C)(C)C,ion\n'
)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("library") / "library.csv"
    path.write_text(LIBRARY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def predictions(
    tmp_path_factory: pytest.TempPathFactory, tiny_predictor: ArtifactRef, tiny_params: Params, library: Path
) -> Path:
    out = tmp_path_factory.mktemp("predictions") / "predictions.csv"
    predict.run(tiny_params, predict.PredictInputs(tiny_predictor.uri, str(library)), str(out))
    return out


def test_rows_keep_their_order_and_failed_rows_say_why(predictions: Path) -> None:
    frame = pl.read_csv(predictions)
    assert frame["id"].to_list() == ["ethanol", "bad", "tolu,ene", "again", "ion"]
    assert frame["row"].to_list() == [1, 2, 3, 4, 5]
    values = frame["prediction:weight"].to_list()
    assert [value is None for value in values] == [False, True, False, False, False]
    assert "not_a_molecule" in frame["reason"][1]
    assert values[0] == values[3]


def test_classes_are_predicted_as_probabilities(predictions: Path) -> None:
    probability = pl.read_csv(predictions)["prediction:aromatic"].drop_nulls().to_numpy()
    assert ((probability > 0) & (probability < 1)).all()


def test_the_manifest_accounts_for_every_row(predictions: Path) -> None:
    path = Path(f"{predictions}.manifest.json")
    rows = read_manifest(path.read_text(encoding="utf-8"), str(path)).rows
    assert rows is not None
    assert (rows.rows_in, rows.out, rows.rejects) == (5, 4, 1)


def test_a_prediction_does_not_depend_on_its_batch(
    tmp_path: Path, predictions: Path, tiny_predictor: ArtifactRef, tiny_params: Params
) -> None:
    (tmp_path / "one.smi").write_text("Cc1ccccc1 toluene\n", encoding="utf-8")
    out = tmp_path / "one.parquet"
    predict.run(tiny_params, predict.PredictInputs(tiny_predictor.uri, str(tmp_path / "one.smi")), str(out))
    alone = pl.read_parquet(out)["prediction:weight"][0]
    assert alone == pytest.approx(pl.read_csv(predictions)["prediction:weight"][2], rel=1e-5)


def test_embeddings_have_the_width_of_the_atom_track(
    tmp_path: Path, tiny_model: ArtifactRef, tiny_params: Params, library: Path
) -> None:
    out = tmp_path / "embeddings.parquet"
    predict.run_embed(tiny_params, predict.PredictInputs(tiny_model.uri, str(library)), str(out))
    frame = pl.read_parquet(out)
    width = json.loads((Path(tiny_model.uri) / "config.json").read_text(encoding="utf-8"))["atom_dim"]
    values = frame.select(pl.col("^embedding:.*$")).to_numpy()
    assert values.shape == (5, width)
    assert np.isnan(values[1]).all()
    assert np.isfinite(values[[0, 2, 3, 4]]).all()
    np.testing.assert_allclose(values[0], values[3], rtol=1e-5)


def test_predictions_from_s3_to_s3_are_those_of_files(
    s3_environment: str, tiny_predictor: ArtifactRef, tiny_params: Params, library: Path, predictions: Path
) -> None:
    store = Store()
    with store.draft(f"{s3_environment}/predictor") as draft:
        shutil.copytree(tiny_predictor.uri, draft, dirs_exist_ok=True)
        (draft / MANIFEST).unlink()
        predictor = store.publish(draft, f"{s3_environment}/predictor", Recipe("predictor", {}))
    table, out = f"{s3_environment}/library.csv", f"{s3_environment}/predictions.csv"
    store.put_file(library, table)
    # Unfinished work on S3 too, where other machines would share it.
    sharing = predict.Sharing(work=f"{s3_environment}/work")
    predict.run(tiny_params, predict.PredictInputs(predictor.uri, table), out, store, sharing)
    assert not Workspace(f"{s3_environment}/work", store).finished()
    with store.open(out) as stream:
        assert stream.read() == predictions.read_bytes()
    assert next(verify(out, store)) == "5 rows, 1 with a reason instead of values, all valid"
    found = Predictor.load(predictor.uri).predict(["CCO"])
    expected = pl.read_csv(predictions)["prediction:weight"][0]
    assert found["prediction:weight"][0] == pytest.approx(expected, abs=1e-5)
    assert not Path(".unimol2/.work").exists()


def test_other_predictions_are_never_overwritten(
    tmp_path: Path, tiny_predictor: ArtifactRef, tiny_params: Params, library: Path
) -> None:
    out = tmp_path / "predictions.csv"
    out.write_text("mine\n", encoding="utf-8")
    with pytest.raises(UserError, match="exists and was not made by this command"):
        predict.run(tiny_params, predict.PredictInputs(tiny_predictor.uri, str(library)), str(out))
    assert out.read_text(encoding="utf-8") == "mine\n"


def test_an_unknown_suffix_is_refused(
    tiny_predictor: ArtifactRef, tiny_params: Params, library: Path
) -> None:
    with pytest.raises(UserError, match=r"\.csv or \.parquet"):
        predict.run(tiny_params, predict.PredictInputs(tiny_predictor.uri, str(library)), "out.xlsx")
