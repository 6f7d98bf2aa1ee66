"""A pretrained model's curve beside its floors: what the parts of the loss became, and what a guess costs.

The floors are the losses of a network that knows how common each element is and leaves the coordinates as
they are; validation molecules and their corruption are the same for both.
"""

import argparse
import csv
import json
from pathlib import Path

import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

PARTS = {
    "atom_type": "masked atoms: cross-entropy, nats",
    "coordinate": "coordinates: |Δx| + |Δy| + |Δz|, Å",
    "distance": "distances: |Δ|, Å",
    "accuracy": "masked atoms found",
}


def main() -> None:
    """Print a row per part, and draw the parts over the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path, help="a model that `unimol2 pretrain` made")
    parser.add_argument("--svg", type=Path, help="where to draw the curves")
    options = parser.parse_args()
    metrics = json.loads((options.model / "metrics.json").read_text(encoding="utf-8"))
    with (options.model / "curve.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    show(rows, metrics)
    if options.svg is not None:
        draw(rows, metrics, options.svg)


def points(rows: list[dict[str, str]], metric: str) -> tuple[list[int], list[float]]:
    """Steps and values of one metric."""
    known = [row for row in rows if row.get(metric)]
    return [int(row["step"]) for row in known], [float(row[metric]) for row in known]


def show(rows: list[dict[str, str]], metrics: dict[str, float]) -> None:
    steps = int(rows[-1]["step"])
    table = Table(
        title=f"{metrics['parameters']:,} parameters, {metrics['molecules']:,} molecules, {steps:,} steps"
    )
    for column in ("validation", "floor", "first step", "last step", "last / floor"):
        table.add_column(column, justify="left" if column == "validation" else "right")
    for part, name in PARTS.items():
        values = points(rows, f"valid/{part}")[1]
        floor = metrics[f"floor/{part}"]
        ratio = f"{values[-1] / floor:.2f}"
        table.add_row(name, f"{floor:.4f}", f"{values[0]:.4f}", f"{values[-1]:.4f}", ratio)
    Console().print(table)


def draw(rows: list[dict[str, str]], metrics: dict[str, float], path: Path) -> None:
    figure, axes = plt.subplots(1, len(PARTS), figsize=(14, 3.2), layout="constrained")
    for axis, (part, name) in zip(axes, PARTS.items(), strict=True):
        floor = metrics[f"floor/{part}"]
        axis.plot(*points(rows, f"train/{part}"), color="0.7", linewidth=0.8, label="training")
        axis.plot(*points(rows, f"valid/{part}"), color="C0", label="validation")
        axis.axhline(floor, color="C3", linestyle="--", linewidth=1, label="floor")
        # From nothing to a little above the floor or, for a share, to all; the untrained start is far off.
        axis.set(title=name, xlabel="step", ylim=(0, 1 if part == "accuracy" else 1.1 * floor))
        axis.title.set_fontsize(9)
    axes[0].legend(fontsize=8)
    # Without the date, so that the same curve gives the same file.
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
