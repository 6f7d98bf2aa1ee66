"""A pretrained model's curve beside its floors: what the parts of the loss became, and what a guess costs.

The floors are the losses of a network that knows how common each element is and leaves the coordinates as
they are; validation molecules and their corruption are the same for both.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
from rich.console import Console
from rich.table import Table

from unimol2_tasks.stages.curves import read_curve

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
    show(options.model, metrics)
    if options.svg is not None:
        draw(options.model, metrics, options.svg)


def show(model: Path, metrics: dict[str, float]) -> None:
    steps = int(max(read_curve(model, "learning_rate")[0]))
    table = Table(
        title=f"{metrics['parameters']:,} parameters, {metrics['molecules']:,} molecules, {steps:,} steps"
    )
    for column in ("validation", "floor", "first step", "last step", "last / floor"):
        table.add_column(column, justify="left" if column == "validation" else "right")
    for part, name in PARTS.items():
        values = read_curve(model, f"valid/{part}")[1]
        floor = metrics[f"floor/{part}"]
        ratio = f"{values[-1] / floor:.2f}"
        table.add_row(name, f"{floor:.4f}", f"{values[0]:.4f}", f"{values[-1]:.4f}", ratio)
    Console().print(table)


def draw(model: Path, metrics: dict[str, float], path: Path) -> None:
    # Without a salt of its own, and without the date, every drawing of a curve is another file.
    plt.rcParams["svg.hashsalt"] = "unimol2"
    figure, axes = plt.subplots(1, len(PARTS), figsize=(14, 3.2), layout="constrained")
    for axis, (part, name) in zip(axes, PARTS.items(), strict=True):
        floor = metrics[f"floor/{part}"]
        axis.plot(*read_curve(model, f"train/{part}"), color="0.7", linewidth=0.8, label="training")
        axis.plot(*read_curve(model, f"valid/{part}"), color="C0", label="validation")
        axis.axhline(floor, color="C3", linestyle="--", linewidth=1, label="floor")
        # From nothing to a little above the floor or, for a share, to all; the untrained start is far off.
        axis.set(title=name, xlabel="step", ylim=(0, 1 if part == "accuracy" else 1.1 * floor))
        axis.title.set_fontsize(9)
    axes[0].legend(fontsize=8)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
