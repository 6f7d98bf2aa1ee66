"""What a table of predictions says beside the predictions: spread, intervals, classes, similarity."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.prediction_schemas import ATOM_EMBEDDINGS, EMBEDDINGS, PREDICTIONS
from unimol2_tasks.artifacts.schemas import validate
from unimol2_tasks.chemistry.structure import Structure
from unimol2_tasks.datasets.rows import InputRow
from unimol2_tasks.errors import ArtifactError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages.prediction.columns import PredictionColumns
from unimol2_tasks.stages.prediction.embedding_columns import AtomColumns, MoleculeColumns
from unimol2_tasks.stages.prediction.units import prepare_numbered, prepared_rows
from unimol2_tasks.training.network import TARGETS, read_targets
from unimol2_tasks.training.predictor_files import VALIDATION, read_predictions, write_predictions

SMILES = ("OCC", "CCCCCCCC", "c1ccccc1")


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    inputs = [InputRow(number, text, Structure(text)) for number, text in enumerate(SMILES, start=1)]
    params = PrepareParams(conformers=1)
    return prepared_rows(inputs, [prepare_numbered(row.structure, params) for row in inputs])[0]


def values() -> np.ndarray:
    """[3 molecules, 3 members, logS and toxic and three phases]."""
    return np.stack(
        [
            [[1.0, 0.1, 0.6, 0.3, 0.1], [2.0, 0.2, 0.2, 0.7, 0.1], [3.0, 0.3, 0.1, 0.8, 0.1]],
            [[0.0, 0.5, 0.6, 0.3, 0.1]] * 3,
            [[-1.0, 0.9, 0.0, 0.0, 1.0]] * 3,
        ]
    )


def table(
    predictor: ArtifactRef, rows: pl.DataFrame, found: np.ndarray, coverage: float = 0.9
) -> pl.DataFrame:
    columns = PredictionColumns.of(Path(predictor.uri), coverage)
    return validate(pl.concat(columns.pieces(rows, found)), PREDICTIONS, "predictions")


def test_an_ensemble_gives_the_mean_and_the_spread_of_its_members(
    small_ensemble: ArtifactRef, rows: pl.DataFrame
) -> None:
    first = table(small_ensemble, rows, values()).row(0, named=True)
    assert first["prediction:logS"] == pytest.approx(2.0)
    assert first["std:logS"] == pytest.approx(np.std([1, 2, 3], ddof=1))
    assert first["prediction:toxic"] == pytest.approx(0.2)
    assert first["std:phase=1"] == pytest.approx(np.std([0.3, 0.7, 0.8], ddof=1))


def test_the_class_is_the_one_that_is_most_probable_on_average(
    small_ensemble: ArtifactRef, rows: pl.DataFrame
) -> None:
    frame = table(small_ensemble, rows, values())
    assert frame["class:phase"].to_list() == [1, 0, 2]
    assert "class:toxic" not in frame.columns


def test_a_single_network_has_no_spread(small_predictor: ArtifactRef, rows: pl.DataFrame) -> None:
    frame = table(small_predictor, rows, values()[:, :1])
    assert not [name for name in frame.columns if name.startswith("std:")]


@pytest.mark.parametrize(
    # Of 20 errors 0.1, 0.2, … 2.0 the ceil(21 · coverage)-th.
    ("coverage", "halfwidth"),
    [(0.9, 1.9), (0.5, 1.1)],
)
def test_intervals_are_as_wide_as_the_errors_on_validation_molecules(
    small_predictor: ArtifactRef, rows: pl.DataFrame, coverage: float, halfwidth: float
) -> None:
    frame = table(small_predictor, rows, values()[:, :1], coverage)
    assert (frame["upper:logS"] - frame["prediction:logS"]).to_numpy() == pytest.approx(halfwidth)
    assert (frame["prediction:logS"] - frame["lower:logS"]).to_numpy() == pytest.approx(halfwidth)
    assert "lower:toxic" not in frame.columns


def test_the_interval_of_a_label_that_was_learnt_as_a_logarithm_is_a_factor(
    small_predictor: ArtifactRef, rows: pl.DataFrame, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_predictor.uri, tmp_path / "predictor")
    first, *others = (targets := read_targets(folder)).targets
    changed = targets.model_copy(update={"targets": (first.model_copy(update={"scaling": "log"}), *others)})
    (folder / TARGETS).write_text(changed.model_dump_json())
    ids, *read = read_predictions(folder / VALIDATION, targets)
    labels, predictions = (values.copy() for values in read)
    labels[:, 0] = np.geomspace(1e-3, 1e3, len(ids))
    # Off by factors of 1.1, 1.2, … 3.0, in turn too high and too low.
    factors = (1.1 + np.arange(len(ids)) / 10) ** np.where(np.arange(len(ids)) % 2, 1, -1)
    predictions[:, 0] = labels[:, 0] * factors
    write_predictions(folder / VALIDATION, ids, labels, predictions, targets)
    found = values()[:, :1]
    found[:, 0, 0] = [0.01, 1.0, 100.0]
    frame = pl.concat(PredictionColumns.of(folder, 0.9).pieces(rows, found))
    # Of 20 the 19th.
    assert frame["upper:logS"].to_list() == pytest.approx([0.029, 2.9, 290.0])
    assert frame["lower:logS"].to_list() == pytest.approx([0.01 / 2.9, 1 / 2.9, 100 / 2.9])


def test_too_few_validation_molecules_give_no_interval(
    small_predictor: ArtifactRef, rows: pl.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    frame = table(small_predictor, rows, values()[:, :1], coverage=0.99)
    assert frame["lower:logS"].null_count() == frame["upper:logS"].null_count() == frame.height
    assert "logS: no interval: 20 validation molecules are too few" in caplog.text


def test_similarity_is_that_of_the_nearest_training_molecule(
    small_predictor: ArtifactRef, rows: pl.DataFrame
) -> None:
    similarity = table(small_predictor, rows, values()[:, :1])["similarity"].to_list()
    assert similarity[0] == similarity[2] == 1.0
    assert 0 < similarity[1] < 0.5


def test_a_number_that_is_not_finite_is_a_failure_with_a_reason(
    small_predictor: ArtifactRef, rows: pl.DataFrame
) -> None:
    found = values()[:, :1]
    found[1, 0, 0] = np.inf
    frame = table(small_predictor, rows, found)
    assert frame["reason"].to_list() == [None, "the network's output is not a finite number", None]
    assert frame["prediction:logS"].null_count() == 1


def test_an_embedding_that_is_not_finite_costs_its_row_only(rows: pl.DataFrame) -> None:
    found = np.arange(6.0).reshape(3, 1, 2)
    found[1, 0, 1] = np.nan
    frame = validate(pl.concat(MoleculeColumns(2).pieces(rows, found)), EMBEDDINGS, "embeddings")
    assert frame["reason"].to_list() == [None, "the network's output is not a finite number", None]
    assert frame["embedding:0"].to_list() == [0, None, 4]


def test_an_atom_that_is_not_finite_costs_its_molecule_only(rows: pl.DataFrame) -> None:
    """Three, eight and six atoms; the last of the eight fails."""
    found = np.arange(17, dtype=np.float32)[:, None]
    found[10] = np.inf
    frame = validate(pl.concat(AtomColumns(1).pieces(rows, found)), ATOM_EMBEDDINGS, "embeddings")
    assert frame["row"].to_list() == [1] * 3 + [2] + [3] * 6
    assert frame["reason"].drop_nulls().to_list() == ["the network's output is not a finite number"]
    assert sorted(frame["embedding:0"].drop_nulls()) == [0, 1, 2, *range(11, 17)]
    none = rows.with_columns(reason=pl.lit("no"), atom_index=None, element=None).cast(rows.schema)
    assert pl.concat(AtomColumns(1).pieces(none, None))["reason"].to_list() == ["no"] * 3


def test_columns_do_not_depend_on_whether_any_row_is_a_molecule(
    small_ensemble: ArtifactRef, rows: pl.DataFrame
) -> None:
    columns = PredictionColumns.of(Path(small_ensemble.uri), 0.9)
    failed = rows.with_columns(reason=pl.lit("no"))
    (empty,) = columns.pieces(failed, None)
    (full,) = columns.pieces(rows, values())
    assert empty.schema == full.schema == columns.types
    assert empty["reason"].to_list() == ["no"] * 3


def test_a_predictor_that_does_not_say_what_it_was_trained_on_is_refused(
    tmp_path: Path, small_predictor: ArtifactRef
) -> None:
    (tmp_path / "targets.json").write_text((Path(small_predictor.uri) / "targets.json").read_text())
    with pytest.raises(ArtifactError, match=r"training\.parquet: missing"):
        PredictionColumns.of(tmp_path, 0.9)
