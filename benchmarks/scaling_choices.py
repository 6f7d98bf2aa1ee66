"""Which steps and which parameters a small scaling study should count, chosen without what is held out.

For each choice the law is fitted to the smaller models and predicts the next of them; the choice with the
lowest mean error there is the one to take. What is held out is shown beside it and chooses nothing.

    python benchmarks/scaling_choices.py runs/study/models/* --held-out runs/study/models/1.31M
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from unimol2_tasks.params import Counted
from unimol2_tasks.stages import scaling
from unimol2_tasks.stages.scaling_results.law_files import read_fit

COUNTED: tuple[Counted, ...] = ("all", "blocks")
FEWEST = 3
"""Sizes from which the next is predicted: two fit anything."""


def main() -> None:
    """Print one row for each choice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", help="pretrained models of a study")
    parser.add_argument("--held-out", required=True, help="the one of them that is predicted last")
    parser.add_argument("--skip-steps", nargs="+", type=int, default=[500, 1000, 1500, 2000, 2500, 3000])
    parser.add_argument("--test-from-step", type=int, default=3500)
    options = parser.parse_args()
    held_out = Path(options.held_out).resolve()
    fitted = [model for model in options.models if Path(model).resolve() != held_out]
    found = [
        (counted, skip, *errors(fitted, str(held_out), counted, skip, options.test_from_step))
        for counted in COUNTED
        for skip in options.skip_steps
    ]
    best = min(found, key=lambda row: statistics.mean(row[2].values()))
    print_table(found, best)


def errors(
    models: Sequence[str], held_out: str, counted: Counted, skip: int, test_from: int
) -> tuple[dict[str, float], float]:
    """RMAE of each size that was predicted from those below it, and of what is held out."""
    inputs = scaling.ScalingInputs(
        models, [held_out], counted=counted, skip_steps=skip, test_from_step=test_from, bootstrap=0
    )
    with tempfile.TemporaryDirectory() as folder:
        fit = read_fit(Path(scaling.run(inputs, f"{folder}/law").uri))
    (judged,) = fit["held_out"].values()
    within: dict[str, float] = {
        f"{one['predicted']:.3g}M": one["rmae"][fit["alternatives"][0]["name"]]
        for one in fit["extrapolations"]
        if len(one["sizes"]) >= FEWEST
    }
    return within, judged["rmae"]


def print_table(found: Sequence[tuple[Any, ...]], best: tuple[Any, ...]) -> None:
    """The choices, the best of them marked."""
    table = Table(title="RMAE, %", caption="* the lowest mean within the fit", caption_justify="left")
    names = list(found[0][2])
    for column in ("counted", "steps after", *names, "mean within the fit", "held out"):
        table.add_column(column, justify="right")
    for row in found:
        counted, skip, within, held_out = row
        mean = statistics.mean(within.values())
        mark = " *" if row is best else ""
        figures = [f"{100 * value:.2f}" for value in (*within.values(), mean, held_out)]
        table.add_row(counted + mark, f"{skip:,}", *figures)
    Console().print(table)


if __name__ == "__main__":
    main()
