import json
from pathlib import Path

import pytest

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.ledger import Reject, read_ledger
from unimol2_tasks.datasets.shards import open_dataset
from unimol2_tasks.errors import ArtifactError, TableError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.progress import Progress, listen
from unimol2_tasks.stages.prepare import PrepareInputs, run

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
    assert reports[-1] == Progress("conformers", 6, 6)


def test_statistics_say_what_is_inside(table: Path, tmp_path: Path) -> None:
    run(PARAMS, PrepareInputs(str(table)), str(tmp_path / "dataset"))
    statistics = json.loads((tmp_path / "dataset" / "statistics.json").read_text())
    assert statistics["molecules"] == sum(statistics["splits"].values()) == 6
    assert statistics["rejects"] == {"deduplicate": 1, "parse": 1, "read": 1, "standardise": 1}
    assert statistics["elements"] == {"C": 26, "N": 1, "O": 2, "Na": 1, "Cl": 1}
    assert statistics["labels"]["logS"]["known"] == 5
    assert statistics["labels"]["logS"]["mean"] == pytest.approx((0 + 2 + 4 + 5 + 6) / 5)
    assert statistics["conflicting_duplicates"] == 1


def test_the_number_of_workers_changes_nothing(table: Path, tmp_path: Path) -> None:
    digests = {
        run(
            PARAMS.model_copy(update={"workers": workers}),
            PrepareInputs(str(table)),
            str(tmp_path / f"dataset-{workers}"),
        ).digest
        for workers in (1, 2)
    }
    assert len(digests) == 1


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
