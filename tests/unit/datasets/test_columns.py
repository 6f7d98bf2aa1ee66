import logging
import math
from decimal import Decimal

import numpy as np
import pytest

from unimol2_tasks.datasets.columns import ColumnChoice, choose_columns, parse_number, refuse_doubled
from unimol2_tasks.errors import TableError


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1.5", 1.5), (" 1e-3 ", 0.001), (2, 2.0), (True, 1.0), (Decimal("0.1"), 0.1), (np.float32(0.5), 0.5)],
)
def test_a_number_is_read_from_text_and_from_types(cell: object, value: float) -> None:
    assert parse_number(cell) == value


@pytest.mark.parametrize("cell", [None, "", " ", "NA", "nan", "-nan", "NULL", math.nan])
def test_a_missing_value_is_none(cell: object) -> None:
    assert parse_number(cell) is None


@pytest.mark.parametrize("cell", ["high", ">10", "1,5", "inf", "-Infinity", math.inf, "1_000", [1.0], b"1"])
def test_what_is_no_finite_number_is_refused(cell: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reader's own message follows
        parse_number(cell)


def test_row_numbers_that_pandas_writes_are_no_label() -> None:
    header = ("", "Unnamed: 0", "__index_level_0__", "smiles", "y")
    sample = [{"": "0", "Unnamed: 0": "0", "__index_level_0__": 0, "smiles": "C", "y": "1"}]
    assert choose_columns(header, sample, ColumnChoice(), "t").labels == ("y",)


def test_the_split_column_is_neither_label_nor_guessed() -> None:
    sample = [{"smiles": "C", "y": "1", "fold": "0"}]
    guessed = choose_columns(("smiles", "y", "fold"), sample, ColumnChoice(), "t")
    assert (guessed.labels, guessed.split) == (("y", "fold"), None)
    named = choose_columns(("smiles", "y", "fold"), sample, ColumnChoice(split="fold"), "t")
    assert (named.labels, named.split) == (("y",), "fold")


def test_two_columns_that_could_be_the_id_are_left_alone() -> None:
    assert choose_columns(("smiles", "id", "name"), [], ColumnChoice(), "t").id is None


def test_many_labels_are_said_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    header = ("smiles", *(f"y{number}" for number in range(600)))
    sample: list[dict[str, object]] = [dict.fromkeys(header, 1.0) | {"smiles": "C"}]
    with caplog.at_level(logging.INFO):
        assert len(choose_columns(header, sample, ColumnChoice(), "t").labels) == 600
    assert "y19 and 580 more (guessed)" in caplog.text


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (ColumnChoice(smiles="smile"), "--smiles-column: no column 'smile'; did you mean 'smiles'"),
        (ColumnChoice(id="nam"), "--id-column: no column 'nam'; did you mean 'name'"),
        (ColumnChoice(labels=("Y",)), "--label-columns: no column 'Y'"),
        (ColumnChoice(split="fold"), "prepare.split_column: no column 'fold'"),
        (ColumnChoice(smiles="y"), "column 'y' holds int, expected SMILES"),
        (ColumnChoice(labels=("vector",)), "column 'vector' holds list, expected numbers"),
    ],
)
def test_a_wrong_choice_is_explained(choice: ColumnChoice, message: str) -> None:
    sample = [{"smiles": "C", "name": "x", "y": 1, "vector": [1.0]}]
    with pytest.raises(TableError, match=message):
        choose_columns(("smiles", "name", "y", "vector"), sample, choice, "t")


def test_a_doubled_column_is_named() -> None:
    refuse_doubled(("", "", "y"), "t")
    with pytest.raises(TableError, match="t: column 'y' appears twice"):
        refuse_doubled(("y", "x", "y"), "t")
