"""Which columns of a table are predicted, and what the rows are called."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from typer.testing import CliRunner

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.cli import app
from unimol2_tasks.errors import ArtifactError, TableError
from unimol2_tasks.params import parse_params
from unimol2_tasks.stages.predict import PredictInputs, Sharing, run, run_embed
from unimol2_tasks.stages.prediction import passes as prediction_passes
from unimol2_tasks.stages.preparation.units import Unit

pytestmark = pytest.mark.usefixtures("inference_here")

TABLE = (
    "drug,salt,lot,id,name\nCCO,CCO.Cl,A1,1,first\nc1ccccc1,c1ccccc1.Cl,A2,2,second\nCCN,CCN.Cl,A3,3,third\n"
)

PARAMS = parse_params({"prepare": {"conformers": 1}, "predict": {"unit_rows": 1}})


class Interruption(BaseException):
    """As if the process were killed."""


def in_this_process(units: Iterable[Unit]) -> Iterator[Unit]:
    """What worker processes do, which take a second to start."""
    for unit in units:
        unit.write([unit.function(molecule) for molecule in unit.molecules()])
        yield unit


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "library.csv"
    path.write_text(TABLE, encoding="utf-8")
    return str(path)


def _predict(predictor: ArtifactRef, table: str, out: Path, **columns: str) -> pl.DataFrame:
    inputs = PredictInputs(predictor.uri, table, **columns)
    run(PARAMS, inputs, str(out), sharing=Sharing(in_this_process))
    return pl.read_parquet(out)


def _embed(model: ArtifactRef, table: str, out: Path, **columns: str) -> pl.DataFrame:
    inputs = PredictInputs(model.uri, table, **columns)
    run_embed(PARAMS, inputs, str(out), Store(), Sharing(in_this_process))
    return pl.read_parquet(out)


@pytest.mark.parametrize("other", [{"smiles_column": "salt"}, {"smiles_column": "drug", "id_column": "lot"}])
def test_other_columns_of_a_table_are_another_prediction(
    tmp_path: Path, small_predictor: ArtifactRef, small_model: ArtifactRef, table: str, other: dict[str, str]
) -> None:
    for make, artifact in ((_predict, small_predictor), (_embed, small_model)):
        out = tmp_path / f"{make.__name__}.parquet"
        made = make(artifact, table, out, smiles_column="drug")
        assert make(artifact, table, out, smiles_column="drug").equals(made)
        with pytest.raises(ArtifactError, match="was made from other inputs, parameters or code"):
            make(artifact, table, out, **other)


def test_what_was_begun_with_another_column_is_not_gone_on_with(
    tmp_path: Path, small_predictor: ArtifactRef, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(prediction_passes, "write_pieces", interrupted)
        with pytest.raises(Interruption):
            _predict(small_predictor, table, tmp_path / "p.parquet", smiles_column="drug")
    found = _predict(small_predictor, table, tmp_path / "p.parquet", smiles_column="salt")
    assert found["smiles"].to_list() == ["CCO.Cl", "c1ccccc1.Cl", "CCN.Cl"]


def test_rows_are_called_as_the_named_column_says(
    tmp_path: Path, small_predictor: ArtifactRef, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    named = _predict(small_predictor, table, tmp_path / "a.parquet", smiles_column="drug", id_column="lot")
    assert named["id"].to_list() == ["A1", "A2", "A3"]
    assert f"{table}: id column: lot" in caplog.text


def test_of_two_columns_that_might_be_the_name_none_is_taken_and_that_is_said(
    tmp_path: Path, small_predictor: ArtifactRef, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    found = _predict(small_predictor, table, tmp_path / "a.parquet", smiles_column="drug")
    assert found["id"].to_list() == ["1", "2", "3"]
    assert (
        "id column: none is clearly it; rows are called by their title, else by their number" in caplog.text
    )


def test_a_name_column_that_is_not_there_is_refused_with_those_that_are(
    tmp_path: Path, small_predictor: ArtifactRef, table: str
) -> None:
    out = tmp_path / "p.parquet"
    with pytest.raises(
        TableError, match="--id-column: no column 'batch'; did you mean 'drug', 'salt', 'lot'"
    ):
        _predict(small_predictor, table, out, smiles_column="drug", id_column="batch")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library.csv"]


def test_other_columns_of_the_library_are_joined_by_row(
    tmp_path: Path, small_predictor: ArtifactRef, table: str
) -> None:
    out = tmp_path / "p.csv"
    inputs = PredictInputs(small_predictor.uri, table, "drug", "lot")
    run(PARAMS, inputs, str(out), sharing=Sharing(in_this_process))
    library = pl.read_csv(table).with_row_index("row", offset=1)
    joined = library.join(pl.read_csv(out).drop("id", "smiles"), on="row", validate="1:1")
    assert joined["lot"].to_list() == ["A1", "A2", "A3"]
    assert joined["prediction:logS"].to_list() == pl.read_csv(out)["prediction:logS"].to_list()
    assert not [name for name in joined.columns if name.endswith("_right")]


KEEP = parse_params({"prepare": {"coordinates": "keep"}})


def test_a_table_without_coordinates_that_are_to_be_kept_is_refused(
    tmp_path: Path, small_model: ArtifactRef, table: str
) -> None:
    inputs = PredictInputs(small_model.uri, table, "drug")
    with pytest.raises(TableError, match=r"library\.csv: has no coordinates.*\(\.sdf, \.sd, \.lmdb\)"):
        run_embed(KEEP, inputs, str(tmp_path / "e.parquet"), Store(), Sharing(in_this_process))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["library.csv"]


def test_coordinates_of_a_file_are_kept_unless_a_column_takes_their_place(
    tmp_path: Path, small_model: ArtifactRef
) -> None:
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDistGeom.EmbedMolecule(mol, randomSeed=1)
    mol.SetProp("text", "CCO")
    with Chem.SDWriter(str(tmp_path / "t.sdf")) as writer:
        writer.write(mol)
    kept, out = PredictInputs(small_model.uri, str(tmp_path / "t.sdf")), tmp_path / "e.parquet"
    run_embed(KEEP, kept, str(out), Store(), Sharing(in_this_process))
    assert pl.read_parquet(out)["reason"].to_list() == [None]
    instead = replace(kept, smiles_column="text")
    with pytest.raises(TableError, match="leave out --smiles-column"):
        run_embed(KEEP, instead, str(tmp_path / "f.parquet"), Store(), Sharing(in_this_process))


@pytest.mark.parametrize("command", ["predict", "embed"])
def test_both_commands_take_the_column(
    tmp_path: Path, small_predictor: ArtifactRef, small_model: ArtifactRef, table: str, command: str
) -> None:
    out = tmp_path / "out.parquet"
    artifact = ["--predictor", small_predictor.uri] if command == "predict" else ["--model", small_model.uri]
    words = [command, *artifact, "--input", table, "--out", str(out)]
    columns = ["--smiles-column", "drug", "--id-column", "lot", "--set", "prepare.workers=1"]
    result = CliRunner().invoke(app, [*words, *columns], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert pl.read_parquet(out)["id"].to_list() == ["A1", "A2", "A3"]
