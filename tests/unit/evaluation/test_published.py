"""What others published: printed values, every one with its source, and what is missing said."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from unimol2_tasks.evaluation.published import PublishedTable, missing_from, published, published_tables


def printed_numbers(page: str, heading: str) -> list[list[str]]:
    """The numbers of each row of the first table after a heading."""
    lines = page[page.index(heading) :].splitlines()
    table: list[str] = []
    for line in lines:
        if line.startswith("|"):
            table.append(line)
        elif table:
            break
    return [re.findall(r"(?<=\| )\d+\.\d+(?= \|)", line) for line in table[2:]]


@pytest.mark.parametrize(("benchmark", "heading"), [("qm9", "QM9, split"), ("compas-1d", "COMPAS-1D (8,678")])
def test_every_value_is_as_printed(shared_dir: Path, benchmark: str, heading: str) -> None:
    page = (shared_dir / "reference" / "uni-mol2.md").read_text(encoding="utf-8")
    [table] = [table for table in published_tables() if table.benchmark == benchmark]
    assert [values.split() for values in table.methods.values()] == printed_numbers(page, heading)


def test_values_with_little_data_are_as_printed(shared_dir: Path) -> None:
    page = (shared_dir / "reference" / "uni-mol2.md").read_text(encoding="utf-8")
    line = next(line for line in page.splitlines() if "with little data" in line)
    rows = [row.split("/") for row in re.findall(r"\d\.\d+/\d\.\d+/\d\.\d+", line)]
    [table] = [table for table in published_tables() if table.benchmark == "qm9-little-data"]
    assert [values.split() for values in table.methods.values()] == rows


def test_a_score_says_where_it_is_from() -> None:
    [score] = [score for score in published("qm9", "homo/lumo/gap") if score.method == "Uni-Mol2 1.1B"]
    assert (score.value, score.printed, score.unit, score.metric) == (0.0035, "0.0035", "Hartree", "mae")
    assert score.source == "published, Table 4"
    assert score.split == "80/10/10 by scaffold similarity"


def test_nothing_is_invented_for_what_was_not_at_hand() -> None:
    assert published("biogen-adme") == []
    [reason] = missing_from("biogen-adme")
    assert "numbers were not at hand" in reason
    assert missing_from("qm9") == []


def test_a_row_that_lacks_a_value_is_refused() -> None:
    [table] = [table for table in published_tables() if table.benchmark == "compas-1d"]
    with pytest.raises(ValidationError, match="Uni-Mol: 3 values, 4 columns"):
        PublishedTable.model_validate(table.model_dump() | {"methods": {"Uni-Mol": "0.1 0.2 0.3"}})
