"""Laws of prediction: rows keep their place, and no value depends on its neighbours or on how work is cut."""

import csv
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from unimol2_tasks.artifacts.manifest import ArtifactRef
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.chemistry.rejection import Rejected
from unimol2_tasks.datasets.readers import Table
from unimol2_tasks.errors import ArtifactError, TableError, UserError
from unimol2_tasks.params import Params, parse_params
from unimol2_tasks.progress import Progress, listen
from unimol2_tasks.stages.predict import PredictInputs, Sharing, run, run_embed
from unimol2_tasks.stages.prediction import passes as prediction_passes
from unimol2_tasks.stages.preparation.units import Unit
from unimol2_tasks.stages.verify import verify

pytestmark = pytest.mark.usefixtures("inference_here")

SMILES = [
    "CCO", "c1ccccc1C", "not_a_molecule", "CC(=O)O", "C[N+](C)(C)C", "CCO", "N#Cc1ccccc1", "OCC(O)CO",
    "C1CCCCC1", "CC(C)(C)O", "FC(F)F",
]  # fmt: skip


def in_this_process(units: Iterable[Unit]) -> Iterator[Unit]:
    """What worker processes do, which take a second to start."""
    for unit in units:
        results = []
        for molecule in unit.molecules():
            try:
                results.append(unit.function(molecule))
            except Rejected as rejection:
                results.append(rejection)
        unit.write(results)
        yield unit


def settings(**predict: object) -> Params:
    return parse_params({"prepare": {"conformers": 2}, "predict": predict})


def predicted(
    predictor: ArtifactRef,
    smiles: list[str],
    folder: Path,
    name: str = "p.parquet",
    sharing: Sharing | None = None,
    **predict: object,
) -> pl.DataFrame:
    folder.mkdir(exist_ok=True)
    table, out = folder / "table.csv", folder / name
    table.write_text("smiles\n" + "".join(f"{text}\n" for text in smiles), encoding="utf-8")
    inputs = PredictInputs(predictor.uri, str(table))
    run(settings(**predict), inputs, str(out), sharing=sharing or Sharing(in_this_process))
    assert [path.name for path in folder.glob(".*")] == []
    return pl.read_parquet(out) if out.suffix == ".parquet" else pl.read_csv(out)


def test_one_row_comes_out_for_each_row_in_and_in_its_order(
    tmp_path: Path, small_ensemble: ArtifactRef
) -> None:
    frame = predicted(small_ensemble, SMILES, tmp_path, unit_rows=4)
    assert frame["row"].to_list() == list(range(1, len(SMILES) + 1))
    assert frame["smiles"].to_list() == SMILES
    assert [reason is None for reason in frame["reason"]] == [text != "not_a_molecule" for text in SMILES]
    assert frame.filter(pl.col("prediction:logS").is_null())["row"].to_list() == [3]


@pytest.mark.parametrize(
    ("unit_rows", "batch_size", "seed"), [(3, 128, None), (1, 1, None), (2048, 5, 0), (4, 3, 1)]
)
def test_predictions_do_not_depend_on_order_batch_or_unit(
    tmp_path: Path, small_ensemble: ArtifactRef, unit_rows: int, batch_size: int, seed: int | None
) -> None:
    order = np.arange(len(SMILES)) if seed is None else np.random.default_rng(seed).permutation(len(SMILES))
    expected = predicted(small_ensemble, SMILES, tmp_path / "whole")
    found = predicted(
        small_ensemble,
        [SMILES[place] for place in order],
        tmp_path / "cut",
        unit_rows=unit_rows,
        batch_size=batch_size,
    )
    back = found[np.argsort(order).tolist()]
    assert_frame_equal(back.drop("row", "id"), expected.drop("row", "id"), rel_tol=0, abs_tol=1e-5)


def test_rounds_do_not_change_the_result(
    tmp_path: Path, small_predictor: ArtifactRef, monkeypatch: pytest.MonkeyPatch, inference_here: list[Path]
) -> None:
    expected = predicted(small_predictor, SMILES, tmp_path / "whole", unit_rows=2)
    inference_here.clear()
    monkeypatch.setattr(prediction_passes, "_UNITS_PER_ROUND", 2)
    found = predicted(small_predictor, SMILES, tmp_path / "rounds", unit_rows=2)
    assert_frame_equal(found, expected)
    assert [folder.name for folder in inference_here] == ["round-00000", "round-00001", "round-00002"]


def test_csv_and_parquet_say_the_same(tmp_path: Path, small_ensemble: ArtifactRef) -> None:
    parquet = predicted(small_ensemble, SMILES, tmp_path)
    text = predicted(small_ensemble, SMILES, tmp_path, "p.csv")
    assert_frame_equal(text.cast(dict(parquet.schema)), parquet)
    with (tmp_path / "p.csv").open(newline="") as stream:
        assert len(list(csv.reader(stream))) == len(SMILES) + 1


def test_a_table_without_any_molecule_gives_a_table_of_reasons(
    tmp_path: Path, small_ensemble: ArtifactRef, caplog: pytest.LogCaptureFixture
) -> None:
    frame = predicted(small_ensemble, ["CCX", "C1CC"], tmp_path)
    assert frame.columns == predicted(small_ensemble, SMILES, tmp_path / "good").columns
    assert frame["reason"].null_count() == 0
    assert "no molecule among 2 rows; the first: syntax error" in caplog.text


def test_a_table_without_any_row_is_refused(tmp_path: Path, small_ensemble: ArtifactRef) -> None:
    with pytest.raises(TableError, match="no molecule in it; at least one row is needed"):
        predicted(small_ensemble, [], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["table.csv"]


def test_processes_of_this_machine_prepare_the_same_molecules(
    tmp_path: Path, small_predictor: ArtifactRef
) -> None:
    here = predicted(small_predictor, SMILES[:4], tmp_path / "here", unit_rows=2)
    there = predicted(small_predictor, SMILES[:4], tmp_path / "there", sharing=Sharing(), unit_rows=2)
    assert_frame_equal(there, here)


class Interruption(BaseException):
    """As if the process were killed."""


def test_a_prediction_goes_on_from_the_units_that_are_finished(
    tmp_path: Path, small_predictor: ArtifactRef
) -> None:
    expected = predicted(small_predictor, SMILES, tmp_path / "whole", unit_rows=2)
    worked: list[int] = []

    def recording(units: Iterable[Unit]) -> Iterator[Unit]:
        for unit in in_this_process(units):
            worked.append(unit.number)
            yield unit
            if worked == [0, 1]:
                raise Interruption

    with pytest.raises(Interruption):
        predicted(small_predictor, SMILES, tmp_path / "cut", sharing=Sharing(recording), unit_rows=2)
    assert not (tmp_path / "cut" / "p.parquet").exists()
    found = predicted(small_predictor, SMILES, tmp_path / "cut", sharing=Sharing(recording), unit_rows=2)
    assert worked == [0, 1, 2, 3, 4, 5]
    assert_frame_equal(found, expected)


def test_values_that_are_there_are_not_computed_again(
    tmp_path: Path, small_predictor: ArtifactRef, monkeypatch: pytest.MonkeyPatch, inference_here: list[Path]
) -> None:
    def interrupted(*_: object) -> None:
        raise Interruption

    with monkeypatch.context() as patch:
        patch.setattr(prediction_passes, "write_pieces", interrupted)
        with pytest.raises(Interruption):
            predicted(small_predictor, SMILES, tmp_path, unit_rows=4)
    (work,) = (tmp_path / ".work").iterdir()
    assert not list(work.glob("molecules/*")), "what is computed needs no conformers any more"
    inference_here.clear()
    predicted(small_predictor, SMILES, tmp_path, unit_rows=4)
    assert inference_here == []


@pytest.mark.parametrize("moment", ["_share", "write_pieces"])
def test_another_machine_goes_on_from_the_shared_work_alone(
    tmp_path: Path, small_predictor: ArtifactRef, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The first is killed when it has shared two units' values, or all of them; its own folder is lost."""
    expected = predicted(small_predictor, SMILES, tmp_path / "whole", "p.csv", unit_rows=2)
    shared = tmp_path / "shared"
    worked: list[int] = []

    def recording(units: Iterable[Unit]) -> Iterator[Unit]:
        for unit in in_this_process(units):
            worked.append(unit.number)
            yield unit

    sharing = Sharing(recording, str(shared))
    share = prediction_passes.PredictionPasses._share

    def share_two(passes: prediction_passes.PredictionPasses, number: int) -> None:
        if len(list(shared.rglob("*.npy"))) == 2:
            raise Interruption
        share(passes, number)

    def interrupted(*_: object) -> None:
        raise Interruption

    with monkeypatch.context() as patch:
        if moment == "_share":
            patch.setattr(prediction_passes.PredictionPasses, "_share", share_two)
        else:
            patch.setattr(prediction_passes, "write_pieces", interrupted)
        with pytest.raises(Interruption):
            predicted(small_predictor, SMILES, tmp_path / "cut", "p.csv", sharing, unit_rows=2)
    shutil.rmtree(tmp_path / "cut" / ".work")
    worked.clear()
    found = predicted(small_predictor, SMILES, tmp_path / "cut", "p.csv", sharing, unit_rows=2)
    assert worked == []
    assert_frame_equal(found, expected)
    assert (tmp_path / "cut" / "p.csv").read_bytes() == (tmp_path / "whole" / "p.csv").read_bytes()
    assert not shared.exists()


@pytest.mark.parametrize("content", [["C", "CC"], [*SMILES, "CCCC"], SMILES[::-1]])
@pytest.mark.parametrize("moment", ["read", "prepared"])
def test_a_table_that_changes_meanwhile_is_refused(
    tmp_path: Path,
    small_predictor: ArtifactRef,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    content: list[str],
) -> None:
    """Between digest and reading, or with the first unit; it gets shorter, longer or another order."""
    table = tmp_path / "table.csv"
    read = PredictInputs.read

    def change() -> None:
        # Replaced as editors do it: who reads the old file reads it to its end.
        (tmp_path / "new").write_text("smiles\n" + "".join(f"{text}\n" for text in content))
        (tmp_path / "new").replace(table)

    def changed_before(inputs: PredictInputs, store: Store) -> Table:
        change()
        return read(inputs, store)

    def changing(units: Iterable[Unit]) -> Iterator[Unit]:
        for unit in in_this_process(units):
            if unit.number == 0:
                change()
            yield unit

    if moment == "read":
        monkeypatch.setattr(PredictInputs, "read", changed_before)
    sharing = Sharing(in_this_process if moment == "read" else changing)
    with pytest.raises(TableError, match=r"table\.csv: changed while it was predicted; start again"):
        predicted(small_predictor, SMILES, tmp_path, sharing=sharing, unit_rows=2)
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_progress_counts_rows(tmp_path: Path, small_predictor: ArtifactRef) -> None:
    heard: list[Progress] = []
    with listen(heard.append):
        predicted(small_predictor, SMILES, tmp_path, unit_rows=4)
    for work in ("conformers", "write"):
        assert [(one.done, one.total) for one in heard if one.work == work] == [(4, 11), (8, 11), (11, 11)]


def test_what_is_there_already_is_not_made_again(
    tmp_path: Path, small_predictor: ArtifactRef, inference_here: list[Path]
) -> None:
    predicted(small_predictor, SMILES, tmp_path, unit_rows=4)
    inference_here.clear()
    predicted(small_predictor, SMILES, tmp_path, unit_rows=3, batch_size=7)
    assert inference_here == []
    with pytest.raises(ArtifactError, match="was made from other inputs, parameters or code"):
        predicted(small_predictor, SMILES, tmp_path, coverage=0.5)


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_verification_reads_the_table(tmp_path: Path, small_ensemble: ArtifactRef, name: str) -> None:
    predicted(small_ensemble, SMILES, tmp_path, name, unit_rows=4)
    said = list(verify(str(tmp_path / name)))
    assert said[0] == "11 rows, 1 with a reason instead of values, all valid"
    assert "rows: 11 in = 10 out + 1 rejects" in said


@pytest.mark.parametrize("atoms", [False, True])
def test_embeddings_do_not_depend_on_how_work_is_cut(
    tmp_path: Path, small_model: ArtifactRef, atoms: bool
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("smiles\n" + "".join(f"{text}\n" for text in SMILES))
    frames = []
    for unit_rows, batch_size in ((2048, 128), (3, 2)):
        out = tmp_path / f"{unit_rows}.parquet"
        params = settings(unit_rows=unit_rows, batch_size=batch_size)
        inputs = PredictInputs(small_model.uri, str(table))
        run_embed(params, inputs, str(out), Store(), Sharing(in_this_process), atoms=atoms)
        assert next(verify(str(out))).startswith("11 rows")
        frames.append(pl.read_parquet(out))
    assert_frame_equal(*frames, rel_tol=0, abs_tol=1e-5)
    width = sum(name.startswith("embedding:") for name in frames[0].columns)
    assert width == 32
    assert frames[0]["row"].unique().to_list() == list(range(1, 12))


def test_an_ensemble_has_no_single_representation(tmp_path: Path, small_ensemble: ArtifactRef) -> None:
    (tmp_path / "table.csv").write_text("smiles\nCCO\n")
    inputs = PredictInputs(small_ensemble.uri, str(tmp_path / "table.csv"))
    with pytest.raises(UserError, match="an ensemble of 3 networks, each with a representation of its own"):
        run_embed(settings(), inputs, str(tmp_path / "e.csv"), Store(), Sharing(in_this_process))
