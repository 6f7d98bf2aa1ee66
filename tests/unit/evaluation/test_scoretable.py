import pytest

from unimol2_tasks.evaluation.contents import ScoreRow, TargetResult
from unimol2_tasks.evaluation.labels import TargetKind
from unimol2_tasks.evaluation.scoretable import headline, number, score_table, uncertainty_table


def target(*rows: ScoreRow, kind: TargetKind = "regression", unit: str = "eV") -> TargetResult:
    return TargetResult("gap", unit, kind, [], [], rows)


def test_lower_error_and_higher_correlation_are_best() -> None:
    table = score_table(
        target(
            ScoreRow("ours", {"pearson": 0.9, "mae": 0.2, "n": 50}),
            ScoreRow("ridge", {"pearson": 0.95, "mae": 0.3, "n": 50}, role="baseline"),
            ScoreRow("mean", {"mae": 0.9, "n": 50}, role="baseline"),
        )
    )
    assert [(column.label, column.unit) for column in table.columns] == [("MAE", "eV"), ("Pearson r", "")]
    assert [[cell.best for cell in row.cells] for row in table.rows] == [
        [True, False],
        [False, True],
        [False, False],
    ]
    assert table.rows[2].cells[1].value == "\N{EN DASH}"


def test_ties_are_all_best_and_a_single_method_is_not() -> None:
    tied = score_table(target(ScoreRow("a", {"mae": 0.2}), ScoreRow("b", {"mae": 0.2})))
    assert all(row.cells[0].best for row in tied.rows)
    assert not score_table(target(ScoreRow("a", {"mae": 0.2}))).rows[0].cells[0].best


def test_intervals_are_printed() -> None:
    table = score_table(target(ScoreRow("a", {"mae": 0.2}, {"mae": (0.15, 0.25)})))
    assert table.has_intervals
    assert table.rows[0].cells[0].interval == "0.150 to 0.250"


@pytest.mark.parametrize(
    ("ours", "theirs", "interval", "comparison", "verdict"),
    [
        (0.6, 0.8, (0.5, 0.7), "25 % lower than ridge (0.800)", "better"),
        (1.0, 0.8, (0.9, 1.1), "25 % higher than ridge (0.800)", "worse"),
        (0.75, 0.8, (0.6, 0.9), "not clearly different from ridge (0.800)", "unclear"),
        (0.5, 0.0, (0.4, 0.6), "0.500 higher than ridge (0.00)", "worse"),
    ],
)
def test_the_headline_says_how_the_model_stands(
    ours: float, theirs: float, interval: tuple[float, float], comparison: str, verdict: str
) -> None:
    line = headline(
        target(
            ScoreRow("ours", {"mae": ours}, {"mae": interval}),
            ScoreRow("ridge", {"mae": theirs}, role="baseline"),
            ScoreRow("mean", {"mae": 2.0}, role="baseline"),
        )
    )
    assert line is not None
    assert (line.comparison, line.verdict, line.unit) == (comparison, verdict, "eV")


def test_a_larger_area_is_better() -> None:
    rows = (ScoreRow("ours", {"roc_auc": 0.9}), ScoreRow("forest", {"roc_auc": 0.8}, role="baseline"))
    line = headline(target(*rows, kind="binary"))
    assert line is not None
    assert (line.comparison, line.verdict, line.unit) == ("0.100 higher than forest (0.800)", "better", "")


def test_without_the_metric_there_is_no_headline() -> None:
    assert headline(target(ScoreRow("ours", {"accuracy": 1.0}), kind="binary")) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (0.35, "0.350"),
        (123.4, "123"),
        (12345.6, "12,346"),
        (-0.5, "\N{MINUS SIGN}0.500"),
        (3e-6, "3.00e\N{MINUS SIGN}06"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_published_number_is_shown_as_such_and_wins_nothing() -> None:
    table = score_table(
        target(
            ScoreRow("ours", {"mae": 0.2}),
            ScoreRow("ridge", {"mae": 0.3}, role="baseline"),
            ScoreRow("Uni-Mol2 84M", {"mae": 0.1}, role="published", note="in Hartree"),
        )
    )
    assert [row.tag for row in table.rows] == ["", "baseline", "published, in Hartree"]
    assert [row.cells[0].best for row in table.rows] == [True, False, False]
    line = headline(target(ScoreRow("ours", {"mae": 0.2}), ScoreRow("x", {"mae": 0.1}, role="published")))
    assert line is not None
    assert line.comparison == "no baseline to compare with"


def test_what_a_model_says_about_its_errors_has_a_table_of_its_own() -> None:
    metrics = {"mae": 0.2, "coverage_90": 0.8951, "interval_width_90": 0.5}
    result = target(
        ScoreRow("ours", metrics, {"coverage_90": (0.85, 0.92)}),
        ScoreRow("ridge", {"mae": 0.3}, role="baseline"),
    )
    assert [column.label for column in score_table(result).columns] == ["MAE"]
    table = uncertainty_table(result)
    assert [(column.label, column.unit) for column in table.columns] == [
        ("90 % interval holds", ""),
        ("Its width", "eV"),
    ]
    assert [row.method for row in table.rows] == ["ours"]
    assert (table.rows[0].cells[0].value, table.rows[0].cells[0].interval) == ("89.5 %", "85.0 % to 92.0 %")
