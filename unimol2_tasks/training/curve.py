"""The training curve: kept in memory and in every checkpoint, shown live by dvclive."""

import csv
from pathlib import Path
from typing import Any

from unimol2_tasks.training.job import RunFolder

Row = dict[str, float]


class Curve:
    """Metrics by step.

    A run that resumes replays the rows of its checkpoint into dvclive, so that steps taken twice are
    seen once.
    """

    def __init__(self, run: RunFolder | None, rows: list[Row]) -> None:
        self.rows = list(rows)
        self._live = None if run is None else _open_live(run.live)
        for row in self.rows:
            self._show(row)

    def add(self, step: int, metrics: Row) -> None:
        """Add metrics of a step; those of the same step share a row."""
        if self.rows and self.rows[-1]["step"] == step:
            self.rows[-1].update(metrics)
        else:
            self.rows.append({"step": step, **metrics})
        self._show({"step": step, **metrics})

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
        """Finish dvclive's files."""
        if self._live is not None:
            self._live.end()

    def _show(self, row: Row) -> None:
        if self._live is None:
            return
        self._live.step = int(row["step"])
        for name, value in row.items():
            if name != "step":
                self._live.log_metric(name, value, timestamp=False)
        self._live.make_summary()


def _open_live(folder: Path) -> Any:
    from dvclive import Live

    return Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None)
