"""A benchmark's table: published values marked, ours with their spread, what is missing said."""

from dataclasses import replace

import pytest

from unimol2_tasks.evaluation.benchmark_rows import ENSEMBLE, ResultRow, averaged, summarise
from unimol2_tasks.evaluation.benchmark_table import Column, Methods, benchmark_table, markdown


def row(target: str, method: str, seed: str, value: float, metric: str = "mae") -> ResultRow:
    return ResultRow("compas-1d", target, method, seed, metric, value, "eV", 100, None, "measured")


ROWS = [
    *(row("aEA", "pretrained", seed, value) for seed, value in (("0", 0.01), ("1", 0.02), ("2", 0.03))),
    row("aEA", "pretrained", ENSEMBLE, 0.015),
    row("aEA", "from scratch", "0", 0.04),
    row("aEA", "ridge", "", 0.05),
    row("aEA", "forest", "", 0.025),
]
COLUMNS = [Column("aEA", "mae", "eV"), Column("aIP", "mae", "eV")]
TABLE = benchmark_table(
    "COMPAS",
    ROWS,
    COLUMNS,
    Methods(("pretrained", "from scratch"), ("ridge", "forest")),
    ["small"],
    "compas-1d",
)


def cells(method: str) -> tuple[str, ...]:
    return next(line for line in TABLE.rows if line[0] == method)[1:]


def test_mean_and_spread_are_over_seeds_and_not_over_the_ensemble() -> None:
    summary = summarise(ROWS, "pretrained", "aEA", "mae")
    assert summary is not None
    assert (summary.mean, summary.std, summary.runs) == (pytest.approx(0.02), pytest.approx(0.01), 3)
    assert cells("pretrained") == ("measured here, 3 seeds", "0.02 ± 0.01", "not there yet")
    assert cells("pretrained, ensemble")[1] == "0.015"


def test_published_values_are_marked_and_stand_in_their_columns() -> None:
    assert cells("Uni-Mol2 1.1B") == ("published, Table 5", "0.0103", "0.0080")
    marked = [line[1].startswith("published") for line in TABLE.rows]
    assert marked == sorted(marked, reverse=True)
    assert sum(marked) == 5


def test_what_pretraining_changes_is_said_against_scratch_and_the_best_baseline() -> None:
    assert (
        "aEA, pretrained: -50.0 % against from scratch, -20.0 % against forest (lower is better)"
        in TABLE.notes
    )
    assert "small" in TABLE.notes


def test_unknown_published_values_are_named() -> None:
    table = benchmark_table("Biogen", [], [COLUMNS[0]], Methods(("pretrained",), ()), [], "biogen-adme")
    assert [line[1] for line in table.rows] == ["measured here"]
    assert any("not at hand" in note for note in table.notes)


def test_markdown_has_one_line_per_method() -> None:
    text = markdown(TABLE)
    assert text.startswith("## COMPAS\n\n| method | numbers | aEA: MAE, eV | aIP: MAE, eV |\n| --- |")
    assert "| from scratch | measured here | 0.04 | not there yet |" in text


def test_a_column_of_several_labels_is_their_mean() -> None:
    rows = [row("homo", "a", "0", 1.0), row("lumo", "a", "0", 3.0), row("homo", "b", "0", 1.0)]
    [mean] = averaged(rows, "homo/lumo", ["homo", "lumo"])
    assert (mean.method, mean.target, mean.value, mean.n) == ("a", "homo/lumo", 2.0, 100)
    assert averaged(rows, "all", ["homo", "lumo", "gap"]) == []


def test_labels_with_different_numbers_of_molecules_have_none_in_common() -> None:
    rows = [row("homo", "a", "0", 1.0), replace(row("lumo", "a", "0", 3.0), n=80)]
    [mean] = averaged(rows, "homo/lumo", ["homo", "lumo"])
    assert mean.n is None


def test_a_mean_that_a_report_leaves_undefined_is_not_called_missing() -> None:
    methods = Methods(("pretrained", "from scratch"), (), frozenset({("pretrained", "aIP")}))
    table = benchmark_table("COMPAS", ROWS, COLUMNS, methods, [], "compas-1d")
    own = {line[0]: line[1:] for line in table.rows}
    assert own["pretrained"] == ("measured here, 3 seeds", "0.02 ± 0.01", "undefined for a label")
    assert own["pretrained, ensemble"][2] == "undefined for a label"
    assert own["from scratch"][2] == "not there yet"
