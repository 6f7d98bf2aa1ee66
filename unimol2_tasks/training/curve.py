"""The training curve: kept in memory and in every checkpoint, shown live by dvclive and TensorBoard."""

import csv
from pathlib import Path
from typing import Any

from unimol2_tasks.errors import UserError
from unimol2_tasks.training.job import RunFolder

Row = dict[str, float]


class Curve:
    """Metrics by step.

    A run that resumes replays the rows of its checkpoint into dvclive, and has TensorBoard forget what
    came after them, so that steps taken twice are seen once.
    """

    def __init__(self, run: RunFolder | None, rows: list[Row], tensorboard: Path | None = None) -> None:
        """Open what shows the curve.

        Args:
            run: Where dvclive writes, and by whose name TensorBoard knows the run; None: nothing is shown.
            rows: What a checkpoint kept.
            tensorboard: Folder of TensorBoard's files; None: none are written.

        Raises:
            UserError: TensorBoard is asked for, and not installed.
        """
        self.rows = list(rows)
        self._live = None if run is None else _open_live(run.live)
        resumed = int(rows[-1]["step"]) if rows else 0
        self._board = None if run is None or tensorboard is None else _open_board(tensorboard, run, resumed)
        for row in self.rows:
            self._to_live(int(row["step"]), row)

    def add(self, step: int, metrics: Row) -> None:
        """Add metrics of a step; those of the same step share a row."""
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1].update(metrics)
        else:
            self.rows.append({"step": step, **metrics})
        self.show(step, metrics)

    def show(self, step: int, figures: Row) -> None:
        """Show figures that are no part of the result, such as rates: they differ from run to run."""
        self._to_live(step, figures)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()

    def has(self, step: int, name: str) -> bool:
        """Whether a metric of the newest step is known already."""
        return bool(self.rows) and self.rows[-1]["step"] == step and name in self.rows[-1]

    def series(self, name: str) -> list[tuple[int, float]]:
        """Steps and values of one metric."""
        return [(int(row["step"]), row[name]) for row in self.rows if name in row]

    def write(self, path: Path) -> None:
        """Write a table with a column per metric; blank where a step has no value."""
        columns = ["step", *sorted({key for row in self.rows for key in row} - {"step"})]
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)

    def close(self) -> None:
        """Finish the files of those that show the curve."""
        if self._live is not None:
            self._live.end()
        if self._board is not None:
            self._board.close()

    def _to_live(self, step: int, figures: Row) -> None:
        if self._live is None:
            return
        self._live.step = step
        for name, value in figures.items():
            if name != "step":
                self._live.log_metric(name, value, timestamp=False)
        self._live.make_summary()


def _open_live(folder: Path) -> Any:
    from dvclive import Live

    return Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None)


def _open_board(folder: Path, run: RunFolder, resumed: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "tensorboard: the package is not installed; install it, or leave the key out"
        ) from None
    return SummaryWriter(str(folder / run.path.name), purge_step=resumed + 1 if resumed else None)
