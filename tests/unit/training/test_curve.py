import json
from pathlib import Path

from unimol2_tasks.training.curve import Curve
from unimol2_tasks.training.job import RunFolder


def _example(run: RunFolder | None = None) -> Curve:
    curve = Curve(run, [])
    curve.add(1, {"train/loss": 3.0, "learning_rate": 0.1})
    curve.add(2, {"train/loss": 2.0, "learning_rate": 0.2})
    curve.add(2, {"valid/loss": 2.5})
    return curve


def test_metrics_of_one_step_share_a_row_and_the_rest_is_blank(tmp_path: Path) -> None:
    _example().write(tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text().splitlines() == [
        "step,learning_rate,train/loss,valid/loss",
        "1,0.1,3.0,",
        "2,0.2,2.0,2.5",
    ]


def test_a_series_holds_the_steps_that_have_the_metric() -> None:
    assert _example().series("train/loss") == [(1, 3.0), (2, 2.0)]
    assert _example().series("valid/loss") == [(2, 2.5)]


def test_the_curve_can_be_watched_before_it_is_closed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    _example(run)
    summary = json.loads((run.live / "metrics.json").read_text())
    assert summary["step"] == 2
    assert summary["train"]["loss"] == 2.0
    assert summary["valid"]["loss"] == 2.5


def test_steps_taken_again_after_an_interruption_are_shown_once(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    interrupted = _example(run)
    checkpointed = [dict(row) for row in interrupted.rows]
    interrupted.add(3, {"train/loss": 1.0})

    resumed = Curve(run, checkpointed)
    resumed.add(3, {"train/loss": 1.5})
    resumed.close()

    shown = (run.live / "plots" / "metrics" / "train" / "loss.tsv").read_text().split()
    assert shown == ["step", "loss", "1", "3.0", "2", "2.0", "3", "1.5"]


def test_tensorboard_sees_each_step_once_and_rates_too(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, board = RunFolder(tmp_path / "model-1"), tmp_path / "board"
    run.path.mkdir()
    interrupted = Curve(run, [], board)
    for step in (1, 2, 3):
        interrupted.add(step, {"train/loss": float(step)})
    interrupted.close()

    resumed = Curve(run, interrupted.rows[:2], board)
    resumed.add(3, {"train/loss": 30.0})
    resumed.show(3, {"speed/molecules_per_second": 7.0})
    resumed.close()
    assert resumed.series("speed/molecules_per_second") == []

    shown = EventAccumulator(str(board / "model-1"))
    shown.Reload()
    losses = [(event.step, event.value) for event in shown.Scalars("train/loss")]
    assert losses == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert shown.Scalars("speed/molecules_per_second")[0].value == 7.0
