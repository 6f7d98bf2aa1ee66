import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from unimol2_tasks.artifacts.schemas import INDEX, LABEL_PREFIX, SCAFFOLDS, SPLITS
from unimol2_tasks.datasets.ledger import LedgerWriter, Reject
from unimol2_tasks.datasets.records import arrow_schema
from unimol2_tasks.datasets.statistics import Origin, summarise, write_statistics

CARBON, NITROGEN, OXYGEN = 6, 7, 8


@dataclass
class Row:
    """What the statistics look at in one molecule."""

    tokens: Sequence[int]
    scaffold: str = ""
    split: str = "train"
    fold: int | None = None
    method: str = "etkdg+mmff94s"
    energies: Sequence[float] = (1.0,)
    labels: dict[str, float | None] = field(default_factory=dict)


ROWS = [
    Row([CARBON] * 6, "c1ccccc1", energies=[3.5, -2.25], labels={"logS": -1.0}),
    Row([CARBON] * 6 + [OXYGEN], "c1ccccc1", energies=[12.5], labels={"logS": 2.0}),
    Row([CARBON, CARBON, OXYGEN], split="valid", labels={"logS": None}, method="etkdg", energies=[np.nan]),
    Row([CARBON] * 5 + [NITROGEN], "c1ccncc1", split="test", labels={"logS": 5.0}, method="etkdg+uff"),
]
REJECTS = [
    Reject(5, "OCC", "deduplicate", "duplicate of row 3"),
    Reject(6, "c1ccccc1", "deduplicate", "duplicate of row 12"),
    Reject(7, 'a "b",\n\r\nc', "parse", 'syntax error while parsing: a "b",\n\r\nc 4\''),
    Reject(8, "x1", "parse", "syntax error while parsing: x1"),
    Reject(9, "c1cccc1", "parse", "Can't kekulize mol.  Unkekulized atoms: 0 1 2 3 4"),
    Reject(10, "=HYPERLINK(1)", "read", "expected 3 columns, got 4"),
]


def make_dataset(
    folder: Path, rows: Sequence[Row] = ROWS, rejects: Sequence[Reject] = REJECTS, per_shard: int = 3
) -> Path:
    (folder / "molecules").mkdir(parents=True)
    names = list(rows[0].labels)
    for shard in range(0, len(rows), per_shard):
        table = pa.Table.from_pylist(
            [_molecule(row) for row in rows[shard : shard + per_shard]], schema=arrow_schema(names)
        )
        path = folder / "molecules" / f"part-{shard // per_shard:05d}.parquet"
        pq.write_table(table, path, row_group_size=2)
    scaffolds = Counter(row.scaffold for row in rows).most_common()
    place = {scaffold: number for number, (scaffold, _) in enumerate(scaffolds)}
    index = {
        "index": range(len(rows)),
        "shard": [f"part-{number // per_shard:05d}.parquet" for number in range(len(rows))],
        "row_in_shard": [number % per_shard for number in range(len(rows))],
        "atoms": [len(row.tokens) for row in rows],
        "conformers": [len(row.energies) for row in rows],
        "scaffold": [place[row.scaffold] for row in rows],
    }
    splits = {
        "index": range(len(rows)),
        "id": [f"m{number}" for number in range(len(rows))],
        "split": [row.split for row in rows],
        "fold": [row.fold for row in rows],
    }
    _write(index, INDEX, folder / "index.parquet")
    _write(splits, SPLITS, folder / "splits.parquet")
    counts = {"scaffold": [name for name, _ in scaffolds], "molecules": [count for _, count in scaffolds]}
    _write(counts, SCAFFOLDS, folder / "scaffolds.parquet")
    with LedgerWriter(folder / "rejects.csv") as ledger:
        ledger.write(rejects)
    return folder


def _molecule(row: Row) -> dict[str, Any]:
    return {
        "scaffold": row.scaffold,
        "method": row.method,
        "atoms": len(row.tokens),
        "conformers": len(row.energies),
        "tokens": bytes(row.tokens),
        "energies": np.array(row.energies, "<f4").tobytes(),
        **{LABEL_PREFIX + name: value for name, value in row.labels.items()},
    }


def _write(columns: dict[str, Any], schema: Any, path: Path) -> None:
    types = {name: column.dtype.type for name, column in schema.columns.items()}
    pl.DataFrame(columns, schema=types).write_parquet(path)


def origin(rows_in: int = 10) -> Origin:
    return Origin("drugs.csv", ("drugs.csv",), rows_in, {"stereo": 1, "cleaned": 2}, 2, 1)


@pytest.fixture
def summary(tmp_path: Path) -> dict[str, Any]:
    return summarise(make_dataset(tmp_path / "dataset"), origin(), {"test": {"median": 0.4}})


def labelled(folder: Path, values: Sequence[float | None]) -> dict[str, Any]:
    rows = [Row([CARBON], labels={"y": value}) for value in values]
    label: dict[str, Any] = summarise(make_dataset(folder, rows, []), origin(len(rows)), {})["labels"]["y"]
    return label


def test_every_input_row_is_in_one_place(summary: dict[str, Any]) -> None:
    assert summary["rows"] == {"in": 10, "out": 4, "rejects": 6}
    assert summary["molecules"] == sum(summary["splits"].values()) == 4


def test_molecules_are_counted_over_all_shards(summary: dict[str, Any]) -> None:
    assert summary["heavy_atoms"] == {"3": 1, "6": 2, "7": 1}
    assert summary["elements"] == {"C": 19, "N": 1, "O": 2}
    assert summary["element_molecules"] == {"C": 4, "N": 1, "O": 2}
    assert summary["conformers"] == {"1": 3, "2": 1}
    assert summary["methods"] == {"etkdg": 1, "etkdg+mmff94s": 2, "etkdg+uff": 1}


def test_sizes_are_in_the_order_of_numbers_not_of_text(tmp_path: Path) -> None:
    rows = [Row([CARBON] * size) for size in (10, 9, 100)]
    summary = summarise(make_dataset(tmp_path / "dataset", rows, []), origin(3), {})
    assert list(summary["heavy_atoms"]) == ["9", "10", "100"]


def test_energies_are_told_apart_by_force_field(summary: dict[str, Any]) -> None:
    assert summary["energies"] == {
        "etkdg+mmff94s": {"conformers": 3, "min": -2.25, "max": 12.5},
        "etkdg+uff": {"conformers": 1, "min": 1.0, "max": 1.0},
    }


def test_scaffolds_leave_acyclic_molecules_out(summary: dict[str, Any]) -> None:
    assert (summary["scaffolds"], summary["singleton_scaffolds"], summary["acyclic"]) == (2, 1, 1)
    assert summary["top_scaffolds"] == [
        {"scaffold": "c1ccccc1", "molecules": 2},
        {"scaffold": "c1ccncc1", "molecules": 1},
    ]


def test_forty_scaffolds_are_kept(tmp_path: Path) -> None:
    rows = [Row([CARBON], "C1" + "C" * size + "1") for size in range(1, 51)]
    summary = summarise(make_dataset(tmp_path / "dataset", rows, []), origin(50), {})
    assert summary["scaffolds"] == 50
    assert len(summary["top_scaffolds"]) == 40


def test_folds_are_counted_where_there_are_any(tmp_path: Path, summary: dict[str, Any]) -> None:
    assert summary["folds"] == {}
    rows = [Row([CARBON], fold=fold) for fold in (2, 0, 1, 0)]
    folded = summarise(make_dataset(tmp_path / "folded", rows, []), origin(4), {})
    assert folded["folds"] == {"0": 2, "1": 1, "2": 1}


def test_labels_are_described_by_the_known_values(summary: dict[str, Any]) -> None:
    label = summary["labels"]["logS"]
    assert (label["known"], label["mean"], label["min"], label["max"]) == (3, 2.0, -1.0, 5.0)
    assert label["std"] == pytest.approx(np.std([-1, 2, 5]))
    assert (label["median"], label["quartiles"]) == (2.0, [0.5, 3.5])


def test_a_label_that_no_molecule_has(tmp_path: Path) -> None:
    label = labelled(tmp_path / "dataset", [None, None])
    assert label["known"] == 0
    assert {value for key, value in label.items() if key != "known"} == {None}


def test_classes_get_a_bin_each(tmp_path: Path) -> None:
    label = labelled(tmp_path / "dataset", [0, 1, 1, None, 0, 1])
    assert label["histogram"] == {"edges": [-0.5, 0.5, 1.5], "counts": [2, 3]}


@pytest.mark.parametrize(
    "values",
    [
        [0.1, 0.25, 7.5],
        [2.5],
        [0.0],
        [1e300, 1e300],
        [-1.7e308, 1.7e308, 0.5],
        [1.7976931348623157e308],
        [5e-324],
    ],
)
def test_the_histogram_holds_every_value_however_extreme(tmp_path: Path, values: list[float]) -> None:
    label = labelled(tmp_path / "dataset", values)
    assert sum(label["histogram"]["counts"]) == len(values)
    numbers = [
        label["mean"],
        label["std"],
        label["median"],
        *label["quartiles"],
        *label["histogram"]["edges"],
    ]
    assert np.isfinite(numbers).all()


def test_reasons_that_differ_in_numbers_and_quoted_text_are_one(summary: dict[str, Any]) -> None:
    assert summary["rejects"] == {"deduplicate": 2, "parse": 3, "read": 1}
    assert summary["reject_reasons"] == [
        {"stage": "deduplicate", "reason": "duplicate of row N", "rows": 2},
        {"stage": "parse", "reason": "syntax error while parsing: …", "rows": 2},
        {"stage": "parse", "reason": "Can't kekulize mol.  Unkekulized atoms: N", "rows": 1},
        {"stage": "read", "reason": "expected N columns, got N", "rows": 1},
    ]


def test_names_of_methods_keep_their_digits(tmp_path: Path) -> None:
    reject = Reject(2, "C", "conformers", "etkdg+mmff94s gave coordinates that are not finite")
    summary = summarise(make_dataset(tmp_path / "dataset", ROWS, [reject]), origin(5), {})
    assert summary["reject_reasons"][0]["reason"] == reject.reason


def test_a_dataset_without_rejects(tmp_path: Path) -> None:
    summary = summarise(make_dataset(tmp_path / "dataset", ROWS, []), origin(4), {})
    assert summary["rejects"] == {}
    assert summary["reject_reasons"] == []


def test_what_happened_before_is_passed_on(summary: dict[str, Any]) -> None:
    assert list(summary["standardisation"].items()) == [("cleaned", 2), ("stereo", 1)]
    assert (summary["duplicates"], summary["conflicting_duplicates"]) == (2, 1)
    assert summary["leakage"] == {"test": {"median": 0.4}}
    assert (summary["table"], summary["sources"]) == ("drugs.csv", ["drugs.csv"])


def test_the_files_are_the_same_however_the_dataset_is_cut_into_shards(tmp_path: Path) -> None:
    folders = [make_dataset(tmp_path / str(size), per_shard=size) for size in (1, 4)]
    for folder in folders:
        write_statistics(folder, summarise(folder, origin(), {}))
    for name in ("statistics.json", "statistics.html"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    text = (folders[0] / "statistics.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert json.loads(text)["molecules"] == 4


def test_a_shard_is_read_a_batch_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_dataset(
        tmp_path / "dataset", [Row([CARBON, OXYGEN], labels={"y": float(i)}) for i in range(50)], []
    )
    whole = summarise(folder, origin(50), {})
    monkeypatch.setattr("unimol2_tasks.datasets.statistics_shards._BATCH_ROWS", 7)
    largest = 0
    read = pq.ParquetFile.iter_batches

    def watched(file: pq.ParquetFile, size: int, columns: list[str]) -> Any:
        nonlocal largest
        for batch in read(file, size, columns=columns):
            largest = max(largest, batch.num_rows)
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    assert summarise(folder, origin(50), {}) == whole
    assert 0 < largest <= 7
