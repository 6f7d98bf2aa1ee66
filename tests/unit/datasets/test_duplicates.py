import pytest
from hypothesis import given
from hypothesis import strategies as st

from unimol2_tasks.datasets.duplicates import LabelRule, merge_duplicates
from unimol2_tasks.datasets.readers import InputRow


def _rows(*entries: tuple[str, float | None]) -> list[tuple[InputRow, str]]:
    return [
        (InputRow(number, f"smiles of {key}", str(number), (value,)), key)
        for number, (key, value) in enumerate(entries, start=1)
    ]


@pytest.mark.parametrize(("rule", "label"), [("mean", 3.0), ("first", 2.0)])
def test_labels_are_merged_without_the_missing_ones(rule: LabelRule, label: float) -> None:
    merged = merge_duplicates(_rows(("A", None), ("B", 9.0), ("A", 2.0), ("A", 4.0)), rule)
    assert [(row.row, row.labels) for row in merged.rows] == [(1, (label,)), (2, (9.0,))]
    assert [(reject.row, reject.stage, reject.reason) for reject in merged.duplicates] == [
        (3, "deduplicate", "duplicate of row 1"),
        (4, "deduplicate", "duplicate of row 1"),
    ]
    assert merged.conflicts == 1


def test_a_label_nobody_measured_stays_missing() -> None:
    assert merge_duplicates(_rows(("A", None), ("A", None)), "mean").rows[0].labels == (None,)


def test_equal_labels_are_no_conflict() -> None:
    assert merge_duplicates(_rows(("A", 1.0), ("A", 1.0), ("A", None)), "mean").conflicts == 0


@given(keys=st.lists(st.sampled_from("ABCDE")))
def test_every_row_stays_or_is_rejected(keys: list[str]) -> None:
    merged = merge_duplicates(_rows(*((key, 1.0) for key in keys)), "first")
    numbers = [row.row for row in merged.rows] + [reject.row for reject in merged.duplicates]
    assert sorted(numbers) == list(range(1, len(keys) + 1))
    assert len(merged.rows) == len(set(keys))
