import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.dataset import open_dataset
from unimol2_tasks.datasets.ledger import Reject, read_ledger
from unimol2_tasks.errors import ArtifactError, TableError, UserError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.progress import Progress, listen
from unimol2_tasks.stages.preparation.units import Unit, work_here
from unimol2_tasks.stages.prepare import PrepareInputs, of_molecules, run

PARAMS = PrepareParams(conformers=1, workers=1, shard_rows=4, valid_fraction=0.2, test_fraction=0.2)
TABLE = """name,smiles,logS
ethanol,CCO,-0.5
broken,CCX,1
phenol,Oc1ccccc1,2
ethanol again,OCC,0.5
short
benzene,c1ccccc1,
hydrogen,[H][H],3
toluene,Cc1ccccc1,4
pyridine,c1ccncc1,5
salt,[Na+].[Cl-],6
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def test_every_row_ends_in_the_dataset_or_in_the_ledger(table: Path, tmp_path: Path) -> None:
    reports: list[Progress] = []
    with listen(reports.append):
        ref = run(PARAMS, PrepareInputs(str(table)), str(tmp_path / "dataset"))
    artifact = Store().fetch(ref.uri, "dataset", ref.digest)
    assert artifact.manifest.rows is not None
    assert artifact.manifest.rows.model_dump(by_alias=True) == {"in": 10, "out": 6, "rejects": 4}

    dataset = open_dataset(artifact.path)
    assert [dataset.id(index) for index in range(6)] == [
        "ethanol",
        "phenol",
        "benzene",
        "toluene",
        "pyridine",
        "salt",
    ]
    assert dataset.labels(0).tolist() == [0.0]
    assert [dataset.record(index).row for index in range(6)] == [1, 3, 6, 8, 9, 10]
    assert sum(len(dataset.indices(split)) for split in ("train", "valid", "test")) == 6
    assert read_ledger(artifact.path / "rejects.csv") == [
        Reject(2, "CCX", "parse", "syntax error while parsing: CCX"),
        Reject(4, "OCC", "deduplicate", "duplicate of row 1"),
        Reject(5, "short", "read", "1 fields, the header has 3"),
        Reject(7, "[H][H]", "standardise", "no heavy atoms"),
    ]
    last = {each.work: each for each in reports}
    assert last == {
        "standardise": Progress("standardise", 10, 10),
        "conformers": Progress("conformers", 6, 6),
        "write": Progress("write", 10, 10),
    }


def test_statistics_say_what_is_inside(table: Path, tmp_path: Path) -> None:
    run(PARAMS, PrepareInputs(str(table)), str(tmp_path / "dataset"))
    statistics = json.loads((tmp_path / "dataset" / "statistics.json").read_text())
    assert statistics["molecules"] == sum(statistics["splits"].values()) == 6
    assert statistics["rejects"] == {"deduplicate": 1, "parse": 1, "read": 1, "standardise": 1}
    assert statistics["elements"] == {"C": 26, "N": 1, "O": 2, "Na": 1, "Cl": 1}
    assert statistics["labels"]["logS"]["known"] == 5
    assert statistics["labels"]["logS"]["mean"] == pytest.approx((0 + 2 + 4 + 5 + 6) / 5)
    assert statistics["conflicting_duplicates"] == 1


@pytest.mark.parametrize("change", [{"workers": 2}, {"unit_rows": 1}, {"unit_rows": 3}])
def test_how_the_work_is_shared_out_changes_nothing(
    table: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    inputs = PrepareInputs(str(table))
    plain = run(PARAMS, inputs, str(tmp_path / "plain"))
    shared = run(PARAMS.model_copy(update=change), inputs, str(tmp_path / "shared"))
    assert plain.digest == shared.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "shared", "table.csv"]


def test_conflicting_labels_can_drop_a_molecule(table: Path, tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"duplicate_labels": "drop-conflicting", "label_tolerance": 0.9})
    run(params, PrepareInputs(str(table)), str(tmp_path / "dataset"))
    dropped = [
        (reject.row, reject.reason)
        for reject in read_ledger(tmp_path / "dataset" / "rejects.csv")
        if reject.stage == "deduplicate"
    ]
    assert [row for row, _ in dropped] == [1, 4]
    assert all("logS goes from -0.5 to 0.5" in reason for _, reason in dropped)


def test_splits_come_from_a_column(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,smiles,part\na,CCO,Train\nb,CCN,valid\nc,CCC,TEST\nd,OCC,train\n")
    params = PARAMS.model_copy(update={"split": "column", "split_column": "part"})
    dataset = open_dataset(run(params, PrepareInputs(str(path)), str(tmp_path / "dataset")).uri)
    found = {split: [dataset.id(i) for i in dataset.indices(split)] for split in ("train", "valid", "test")}
    assert found == {"train": ["a"], "valid": ["b"], "test": ["c"]}


def test_duplicates_in_two_splits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("smiles,part\nCCO,train\nOCC,test\n")
    params = PARAMS.model_copy(update={"split": "column", "split_column": "part"})
    with pytest.raises(TableError, match=r"table\.csv.*1.*2"):
        run(params, PrepareInputs(str(path)), str(tmp_path / "dataset"))


def test_splits_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("id,smiles\na,CCO\nb,CCN\nc,CCC\n")
    (tmp_path / "splits.csv").write_text("id,split\na,test\nb,train\nc,valid\n")
    params = PARAMS.model_copy(update={"split": "file", "split_file": str(tmp_path / "splits.csv")})
    inputs, out = PrepareInputs(str(path)), str(tmp_path / "dataset")
    dataset = open_dataset(run(params, inputs, out).uri)
    assert [dataset.id(i) for i in dataset.indices("test")] == ["a"]
    (tmp_path / "splits.csv").write_text("id,split\na,train\nb,test\nc,valid\n")
    with pytest.raises(ArtifactError, match="other inputs"):
        run(params, inputs, out)


def test_folds_share_out_every_molecule(table: Path, tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"folds": 3, "split": "random"})
    dataset = open_dataset(run(params, PrepareInputs(str(table)), str(tmp_path / "dataset")).uri)
    assert dataset.folds is not None
    assert sorted(dataset.folds.tolist()) == [0, 0, 1, 1, 2, 2]
    assert sorted(dataset.indices("test")) == [i for i, fold in enumerate(dataset.folds) if fold == 0]


def test_another_split_finds_the_conformers_of_a_failed_one(table: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "dataset")
    impossible = PARAMS.model_copy(update={"split": "stratified", "split_label": "absent"})
    with pytest.raises(UserError, match="absent"):
        run(impossible, PrepareInputs(str(table)), out)
    worked: list[Unit] = []

    def recording(units: Iterable[Unit]) -> Iterator[Unit]:
        for unit in work_here(units, 1):
            worked.append(unit)
            yield unit

    run(PARAMS, PrepareInputs(str(table)), out, work_on=recording)
    assert worked == []


def test_a_folder_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "a.smi").write_text("CCO\nCCX\n")
    (folder / "b.smi").write_text("OCC\nCCN\n")
    run(PARAMS, PrepareInputs(str(folder)), str(tmp_path / "dataset"))
    rejects = read_ledger(tmp_path / "dataset" / "rejects.csv")
    assert [(reject.row, reject.stage) for reject in rejects] == [(2, "parse"), (3, "deduplicate")]
    assert open_dataset(tmp_path / "dataset").record(1).row == 4


def test_the_same_request_is_answered_by_what_is_there(table: Path, tmp_path: Path) -> None:
    inputs, out = PrepareInputs(str(table)), str(tmp_path / "dataset")
    ref = run(PARAMS, inputs, out)
    before = (tmp_path / "dataset" / "manifest.json").stat().st_mtime_ns
    assert run(PARAMS.model_copy(update={"workers": 2}), inputs, out) == ref
    assert (tmp_path / "dataset" / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(ArtifactError, match="other inputs, parameters or code"):
        run(PARAMS.model_copy(update={"seed": 1}), inputs, out)


def test_chosen_columns_are_used(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("drug\tlot\ty\tz\nCCO\ta7\t1\t2\nCCN\ta8\t3\t4\n")
    inputs = PrepareInputs(str(path), smiles_column="drug", id_column="lot", label_columns=("z",))
    dataset = open_dataset(run(PARAMS, inputs, str(tmp_path / "dataset")).uri)
    assert dataset.label_names == ("z",)
    assert (dataset.id(1), dataset.labels(1).tolist()) == ("a8", [4.0])


def test_nothing_is_published_where_nothing_is_usable(tmp_path: Path) -> None:
    path = tmp_path / "table.smi"
    path.write_text("CCX\n[H][H]\n")
    message = r"no molecule of 2 rows could be used; the first reasons: row 1 \(CCX\): syntax error"
    with pytest.raises(TableError, match=message):
        run(PARAMS, PrepareInputs(str(path)), str(tmp_path / "dataset"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.smi"]


def test_a_molecule_without_a_structure_is_rejected_not_invented(tmp_path: Path) -> None:
    path = tmp_path / "table.smi"
    path.write_text("CCO ethanol\n[C@@H]12CC[C@H](C1)CC2 trans-norbornane\n")
    run(PARAMS, PrepareInputs(str(path)), str(tmp_path / "dataset"))
    assert read_ledger(tmp_path / "dataset" / "rejects.csv") == [
        Reject(
            2,
            "[C@@H]12CC[C@H](C1)CC2",
            "conformers",
            "no structure satisfies the distance bounds, random coordinates included",
        )
    ]
    assert len(open_dataset(tmp_path / "dataset")) == 1


def test_splits_are_of_the_table_and_conformers_of_the_molecule() -> None:
    other_splits = PrepareParams(split="file", split_file="splits.csv", shard_rows=7, unit_rows=3)
    assert of_molecules(other_splits) == of_molecules(PrepareParams())
    assert of_molecules(PrepareParams(conformers=3)) != of_molecules(PrepareParams())
