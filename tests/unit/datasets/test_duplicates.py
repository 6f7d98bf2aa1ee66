import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unimol2_tasks.datasets.duplicates import DuplicateCounts, DuplicateRule, deduplicate
from unimol2_tasks.datasets.identified import write_identified
from unimol2_tasks.errors import TableError

LabelRule = Literal["mean", "median", "first", "drop-conflicting"]
# Two of them share a skeleton.
KEYS = ("AAAAAAAAAAAAAA-AAAAAAAAAA-N", "AAAAAAAAAAAAAA-BBBBBBBBBB-N", "BBBBBBBBBBBBBB-AAAAAAAAAA-N")
MEAN = DuplicateRule("inchikey", "mean", 0.0)
NAMES = ("log S", 'ki "nM"; --')


class Row(NamedTuple):
    key: str | None
    """None: rejected before."""
    labels: tuple[float | None, ...] = ()
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    counts: DuplicateCounts
    kept: list[dict[str, Any]]
    rejected: list[dict[str, Any]]
    content: tuple[bytes, bytes]

    @property
    def labels(self) -> dict[int, tuple[float | None, ...]]:
        return {row["row"]: tuple(list(row.values())[2:]) for row in self.kept}

    @property
    def reasons(self) -> dict[int, str]:
        return {row["row"]: row["reason"] for row in self.rejected}


def _deduplicate(
    folder: Path,
    rows: list[Row],
    rule: DuplicateRule = MEAN,
    names: tuple[str, ...] = (),
    unit: int = 1000,
) -> Result:
    """Runs on files of `unit` rows each, numbered from 1."""
    columns = [_identified(number, row, names) for number, row in enumerate(rows, start=1)]
    files = []
    for start in range(0, len(columns), unit):
        files.append(folder / f"unit-{start:06d}.parquet")
        write_identified(files[-1], columns[start : start + unit], names)
    kept, rejected = folder / "kept.parquet", folder / "rejected.parquet"
    before = set(folder.iterdir())
    counts = deduplicate(files, kept, rejected, rule, names, temporary=folder)
    assert set(folder.iterdir()) - before <= {kept, rejected}
    tables = [pq.read_table(path).to_pylist() for path in (kept, rejected)]
    return Result(counts, tables[0], tables[1], (kept.read_bytes(), rejected.read_bytes()))


def _identified(number: int, row: Row, names: tuple[str, ...]) -> dict[str, Any]:
    columns: dict[str, Any] = {"row": number, "id": f"m{number}", "input": f"smiles {number}"}
    if row.key is None:
        return columns | {"stage": "parse", "reason": "no molecule"}
    columns |= {"split": row.split, "inchikey": row.key}
    return columns | {f"label:{name}": value for name, value in zip(names, row.labels, strict=True)}


def _reference(rows: list[Row], rule: DuplicateRule) -> tuple[dict[int, tuple[float | None, ...]], set[int]]:
    """The labels of the rows that stay, by row, and all rows that are merged away or dropped."""
    groups: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    for number, row in enumerate(rows, start=1):
        if row.key:
            groups[row.key.split("-")[0] if rule.key == "skeleton" else row.key].append((number, row))
    kept: dict[int, tuple[float | None, ...]] = {}
    gone: set[int] = set()
    for members in groups.values():
        known = [
            [v for v in c if v is not None] for c in zip(*(row.labels for _, row in members), strict=True)
        ]
        conflict = any(max(values) - min(values) > rule.tolerance for values in known if values)
        gone.update(number for number, _ in members[1:])
        if conflict and rule.labels == "drop-conflicting":
            gone.add(members[0][0])
            continue
        kept[members[0][0]] = tuple(_merged(values, rule.labels) if values else None for values in known)
    return kept, gone


def _merged(values: list[float], rule: LabelRule) -> float:
    if rule == "first":
        return values[0]
    if rule == "median":
        return statistics.median(values)
    return float(sum(map(Fraction, values)) / len(values))


values = st.none() | st.integers(-50, 50).map(lambda eighths: eighths / 8)
rows = st.builds(Row, st.sampled_from((*KEYS, None)), st.tuples(values, values), st.none())
rules = st.builds(
    DuplicateRule,
    st.sampled_from(["inchikey", "skeleton"]),
    st.sampled_from(get_args(LabelRule)),
    st.sampled_from([0.0, 1.0, 4.0]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(rows, min_size=1, max_size=12), rule=rules, unit=st.integers(1, 12))
def test_it_does_what_a_plain_loop_does(rows: list[Row], rule: DuplicateRule, unit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = _deduplicate(Path(folder), rows, rule, NAMES, unit)
    kept, gone = _reference(rows, rule)
    assert result.labels == kept
    assert list(result.labels) == sorted(kept)
    assert list(result.reasons) == sorted(gone)
    assert kept.keys().isdisjoint(gone)
    assert kept.keys() | gone == {number for number, row in enumerate(rows, start=1) if row.key}
    counts = result.counts
    assert counts.molecules == len(kept)
    assert counts.duplicates + counts.dropped == len(gone)


@pytest.mark.parametrize(
    ("labels", "merged"), [("mean", 2.0), ("median", 1.5), ("first", 1.0), ("drop-conflicting", None)]
)
def test_labels_are_merged_without_the_missing_ones(
    tmp_path: Path, labels: LabelRule, merged: float | None
) -> None:
    values = (None, 1.0, 4.0, 1.5, 1.5)
    rows = [Row(KEYS[0], (value,)) for value in values]
    result = _deduplicate(tmp_path, rows, DuplicateRule("inchikey", labels, 1.0), ("logS",))
    assert result.labels == ({} if merged is None else {1: (merged,)})
    assert result.counts.conflicts == 1


def test_the_ledger_names_the_row_that_stays(tmp_path: Path) -> None:
    result = _deduplicate(tmp_path, [Row(KEYS[0]), Row(KEYS[2]), Row(None), Row(KEYS[0])])
    assert result.rejected == [
        {"row": 4, "input": "smiles 4", "stage": "deduplicate", "reason": "duplicate of row 1"}
    ]
    assert [row["row"] for row in result.kept] == [1, 2]
    assert result.counts == DuplicateCounts(molecules=2, duplicates=1, conflicts=0, dropped=0)


def test_a_conflict_is_explained_to_each_of_its_rows(tmp_path: Path) -> None:
    rows = [Row(KEYS[0], (value, 0.0)) for value in (1.0, 2.5, 1.0, 1.0, 1.0)] + [Row(KEYS[2], (7.0, None))]
    result = _deduplicate(tmp_path, rows, DuplicateRule("inchikey", "drop-conflicting", 0.3), NAMES)
    assert set(result.reasons) == {1, 2, 3, 4, 5}
    assert set(result.reasons.values()) == {
        "rows 1, 2, 3, 4 and 1 more count as one molecule, but their log S goes from 1.0 to 2.5; "
        "the label tolerance is 0.3"
    }
    assert result.labels == {6: (7.0, None)}
    assert result.counts == DuplicateCounts(molecules=1, duplicates=0, conflicts=1, dropped=5)


def test_a_difference_of_the_tolerance_is_no_conflict(tmp_path: Path) -> None:
    # In binary 1.1 - 1.0 is larger than 0.1.
    rows = [Row(KEYS[0], (1.0,)), Row(KEYS[0], (1.1,))]
    assert (
        _deduplicate(tmp_path, rows, DuplicateRule("inchikey", "mean", 0.1), ("pKa",)).counts.conflicts == 0
    )


def test_a_mean_is_exact_in_any_order(tmp_path: Path) -> None:
    rows = [Row(KEYS[0], (value, 1.7e308)) for value in (1e16, 1.0, -1e16)]
    assert _deduplicate(tmp_path, rows, names=NAMES).labels == {1: (1 / 3, 1.7e308)}


def test_labels_that_differ_in_case_alone_are_two(tmp_path: Path) -> None:
    rows = [Row(KEYS[0], (1.0, 10.0)), Row(KEYS[0], (2.0, 20.0)), Row(KEYS[2], (3.0, 30.0))]
    result = _deduplicate(tmp_path, rows, names=("ki", "KI"), unit=1)
    assert result.labels == {1: (1.5, 15.0), 3: (3.0, 30.0)}
    assert list(result.kept[0]) == ["row", "split", "label:ki", "label:KI"]


def test_a_label_may_have_any_name(tmp_path: Path) -> None:
    names = ('"; DROP VIEW usable; --', "row", "label_0", "it's\n%s")
    rows = [Row(KEYS[0], (1.0, 2.0, 3.0, 4.0)), Row(KEYS[0], (3.0, 2.0, 5.0, None))]
    result = _deduplicate(tmp_path, rows, names=names)
    assert result.kept == [
        {
            "row": 1,
            "split": None,
            **{f"label:{n}": v for n, v in zip(names, (2.0, 2.0, 4.0, 4.0), strict=True)},
        }
    ]


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "a [1]*? it's"
    folder.mkdir()
    assert _deduplicate(folder, [Row(KEYS[0])] * 3).counts.molecules == 1


def test_the_split_of_a_molecule_is_what_any_of_its_rows_says(tmp_path: Path) -> None:
    rows = [Row(KEYS[0]), Row(KEYS[2], split="train"), Row(KEYS[0], split="test"), Row(KEYS[0], split="test")]
    assert [row["split"] for row in _deduplicate(tmp_path, rows).kept] == ["test", "train"]


def test_a_molecule_in_two_splits_is_refused_by_its_rows(tmp_path: Path) -> None:
    rows = [Row(KEYS[2]), Row(KEYS[0], split="train"), Row(KEYS[0]), Row(KEYS[0], split="test")]
    with pytest.raises(TableError, match=r"rows 2 and 4 count as one molecule.*'train' and 'test'"):
        _deduplicate(tmp_path, rows)
    assert not list(tmp_path.glob("*kept.parquet"))


def test_the_bytes_do_not_depend_on_the_files(tmp_path: Path) -> None:
    rows = [
        Row(f"{number * 7919 % 33_000:014d}-AAAAAAAAAA-N", (number / 3,), "train") for number in range(36_000)
    ]
    results = []
    for unit in (36_000, 7001):
        (tmp_path / str(unit)).mkdir()
        results.append(_deduplicate(tmp_path / str(unit), rows, names=("logS",), unit=unit))
    assert results[0].content == results[1].content
    assert results[0].counts.molecules == 33_000
    # So that a reader of a range of rows leaves most of the file alone.
    file = pq.ParquetFile(tmp_path / "7001" / "kept.parquet")
    assert file.num_row_groups > 1
