"""The page that shows a search."""

import re

from unimol2_tasks.evaluation.search_page import Axis, ShownTrial, render_search

AXES = [Axis("learning_rate", log=True), Axis("batch_size", ("32", "64")), Axis("$name_", ("<b>", "null"))]


def trials() -> list[ShownTrial]:
    losses = [0.5, None, 0.2, 0.3, 0.2]
    return [
        ShownTrial(
            number=number,
            values={"learning_rate": 10.0**-number, "batch_size": "32", "$name_": "<b>"},
            loss=loss,
            seconds=4000.0,
            note="" if loss else "ended: <script>alert(1)</script>",
        )
        for number, loss in enumerate(losses)
    ]


def rows(page: str) -> list[list[str]]:
    body = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[0]
    return [
        [re.sub(r"<[^>]*>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in re.findall(r"<tr.*?</tr>", body)
    ]


def test_trials_are_listed_best_first_and_failures_last() -> None:
    table = rows(render_search(trials(), AXES, "tpe", "valid/loss"))
    assert [row[0] for row in table] == ["2", "4", "3", "0", "1"]
    assert [row[1] for row in table] == ["0.2000", "0.2000", "0.3000", "0.5000", "failed"]
    assert table[0][2:5] == ["0.0100", "32", "&lt;b&gt;"]
    assert table[0][5] == "1 h 07 min"


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    page = render_search(trials(), AXES, "tpe", "valid/loss")
    assert "<script" not in page
    assert "://" not in page
    assert page == render_search(trials(), AXES, "tpe", "valid/loss")
    assert page.count("<figure>") == 4


def test_one_trial_alone_can_be_shown() -> None:
    assert "trial 0;" in render_search(trials()[:1], AXES, "grid", "valid/loss")


def test_losses_that_fall_far_get_a_logarithmic_axis_without_formulas() -> None:
    far = [
        ShownTrial(number, {"learning_rate": 1e-4}, loss, 1.0)
        for number, loss in enumerate([100.0, 1.0, 0.01])
    ]
    page = render_search(far, [Axis("learning_rate")], "random", "valid/loss")
    assert "mathdefault" not in page
    assert ">0.1<" in page
