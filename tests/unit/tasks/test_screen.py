from pathlib import Path

import pytest

from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.artifacts.workspace import Workspace
from unimol2_tasks.blocks import ArtifactStore
from unimol2_tasks.datasets.columns import ColumnChoice
from unimol2_tasks.datasets.readers import read_table
from unimol2_tasks.errors import TableError, UserError
from unimol2_tasks.params import PrepareParams
from unimol2_tasks.stages.prediction.units import PredictUnit, rows_name
from unimol2_tasks.tasks.screen import saved
from unimol2_tasks.tasks.shards import Shard, fingerprint, pending_units

LIBRARY = "name,smiles\na,CCO\nb,not a molecule\nc,CCN\nd,CCC\ne,CC\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "library.csv"
    path.write_text(LIBRARY)
    return path


def shard_of(library: Path, *units: int) -> Shard:
    rows = tuple(read_table(str(library), ColumnChoice(labels=()), Store()).rows())
    return Shard(
        table=str(library),
        smiles_column=None,
        id_column=None,
        unit_rows=2,
        units={number: fingerprint(rows[2 * number : 2 * number + 2]) for number in units},
        workspace=str(library.parent / "work"),
        prepare=PrepareParams(),
    )


def names(shard: Shard) -> list[list[str]]:
    """Of the rows of each unit that is to be worked on."""
    units = pending_units(shard, Workspace(shard.workspace, Store()))
    return [[row.structure.smiles for row in unit.rows] for unit in units if isinstance(unit, PredictUnit)]  # type: ignore[union-attr]


def test_a_shard_travels_as_json_and_finds_its_rows_again(library: Path) -> None:
    sent = shard_of(library, 0, 2).model_dump_json()
    assert names(Shard.model_validate_json(sent)) == [["CCO", "not a molecule"], ["CC"]]
    assert shard_of(library, 1, 2).name == "rows 3 to 6"


def test_what_a_lost_worker_has_finished_is_not_done_again(library: Path) -> None:
    shard = shard_of(library, 0, 1)
    with Workspace(shard.workspace, Store()).new(rows_name(0)) as path:
        path.write_bytes(b"done")
    assert names(shard) == [["CCN", "CCC"]]


def test_a_library_that_changed_meanwhile_is_refused(library: Path) -> None:
    shard = shard_of(library, 0, 1)
    library.write_text(LIBRARY.replace("CCN", "CCS"))
    with pytest.raises(TableError, match=r"library\.csv: rows 3 to 4 differ"):
        names(shard)


def test_a_store_with_keys_travels_as_a_reference_only() -> None:
    assert saved(None) is None
    with pytest.raises(UserError, match="not saved"):
        saved(ArtifactStore(root="s3://bucket", secret_key="secret"))  # type: ignore[arg-type]
