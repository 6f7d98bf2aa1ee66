"""Fine-tuning of unimol_tools 0.1.6 beside ours: time and accuracy, no pretrained weights on either side.

Both sides get the same molecules in the same split, one conformer each that they make themselves, a network
of the same sizes from fresh weights, the same epochs, batch size, learning rate, warm-up, optimiser (Adam
with their betas) and loss (mean squared error of standardised labels), and keep the weights with the lowest
validation loss. Different are: their head is one linear layer, their last, incomplete batch of an epoch is
left out, and their initial weights are PyTorch's. unimol_tools offers no network below 84M, so its table of
sizes is replaced (`--network published` trains 84M on both sides).

The sides run one after the other; whatever else the machine does falls on both, unevenly. The environment of
unimol_tools is made at benchmarks/peers/unimol_tools/.venv where it is absent.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.comparison.environment import peer_python
from unimol2_tasks.artifacts.store import Store
from unimol2_tasks.datasets.benchmark_tables import ID_COLUMN, write_table
from unimol2_tasks.datasets.benchmarks import assignments, find_benchmark
from unimol2_tasks.datasets.dataset import MoleculeDataset, open_dataset
from unimol2_tasks.datasets.download import DATA_FOLDER
from unimol2_tasks.datasets.source_files import downloaded_files, local_files
from unimol2_tasks.params import Params, load_params
from unimol2_tasks.stages import finetune, predict, prepare
from unimol2_tasks.training.network import load_predictor

ROOT = Path(__file__).parents[1]
PEER_FOLDER = ROOT / "benchmarks" / "peers" / "unimol_tools"
SMALL = {"blocks": 4, "atom_dim": 128, "heads": 8, "ffn_dim": 128, "pair_dim": 64, "pair_hidden_dim": 16}
"""A network that two cores train in minutes."""
# Of their default.yaml, and of what their trainer gives to torch.optim.Adam.
_THEIRS = {"warmup_ratio": 0.03, "clip": 5.0, "betas": [0.9, 0.999], "eps": 1e-6, "weight_decay": 0.0}
_DROPOUTS = {"dropout": 0.1, "attention_dropout": 0.1, "pair_dropout": 0.25}


@dataclass(frozen=True, slots=True)
class Side:
    """What one side took and predicted."""

    name: str
    parameters: int
    features: float
    """Seconds for conformers and features."""
    training: float
    """Seconds for training and validation, the start of processes included."""
    prediction: float
    """Seconds from SMILES of the test molecules to values."""
    predictions: list[float]


def main() -> None:
    """Run both sides and print one table."""
    options = make_parser().parse_args()
    console = Console(width=100)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params = settings(options)
        dataset, seconds = prepared(options, params, folder)
        job = make_job(options, dataset)
        ours = train_ours(params, folder, job, seconds)
        print(f"ours: {total(ours):.0f} s", file=sys.stderr)
        theirs = train_theirs(options.peer_python, job, folder)
        print(f"unimol_tools: {total(theirs):.0f} s", file=sys.stderr)
    labels = np.array([row["label"] for row in job["test"]])
    known = np.array([row["label"] for row in (*job["train"], *job["valid"])])
    console.print(table(options, job, ours, theirs, labels, known))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--benchmark", default="lipophilicity", help="of one label (default: lipophilicity)")
    parser.add_argument("--data", type=Path, help="folder with its files (default: download them)")
    parser.add_argument("--subset", type=int, default=400, help="molecules (default: 400)")
    parser.add_argument("--epochs", type=int, default=10, help="(default: 10)")
    parser.add_argument("--batch-size", type=int, default=32, help="(default: 32)")
    parser.add_argument("--learning-rate", type=float, default=3e-4, help="(default: 0.0003)")
    parser.add_argument("--threads", type=int, default=2, help="of each side (default: 2)")
    parser.add_argument("--network", choices=["small", "published"], default="small")
    parser.add_argument("--peer-python", type=Path, help="of an environment that has unimol_tools already")
    return parser


def settings(options: argparse.Namespace) -> Params:
    """Ours, as near to theirs as can be."""
    benchmark = find_benchmark(options.benchmark)
    task = benchmark.tasks[0]
    network = SMALL if options.network == "small" else {"preset": "84M"}
    changes: dict[str, dict[str, Any]] = {
        "prepare": {"conformers": 1, "workers": options.threads},
        "model": {**network, **_DROPOUTS},
        "finetune": {
            "seeds": [],
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "learning_rate": options.learning_rate,
            "regression_loss": "mse",
            "threads": options.threads,
            "log_every": 1000,
            **_THEIRS,
        },
        "predict": {"threads": options.threads},
    }
    given = [
        f"{part}.{key}={json.dumps(value)}" for part, keys in changes.items() for key, value in keys.items()
    ]
    # The settings of params.yaml in the working folder are not for this.
    return load_params(Path(os.devnull), [*assignments(benchmark.tables[task.table], task), *given])


def prepared(options: argparse.Namespace, params: Params, folder: Path) -> tuple[MoleculeDataset, float]:
    """The dataset in `folder`, and the seconds that our conformers and features took."""
    benchmark = find_benchmark(options.benchmark)
    task = benchmark.tasks[0]
    source = benchmark.tables[task.table]
    if options.data is None:
        files = downloaded_files(source.source, DATA_FOLDER)
    else:
        files = local_files(source.source, options.data, frozenset(), folder)
    written = write_table(source, files, options.subset, folder / "molecules")
    columns = prepare.PrepareInputs(str(written.path), written.smiles_column, ID_COLUMN, task.labels)
    start = time.perf_counter()
    prepare.run(params.prepare, columns, str(folder / "dataset"))
    return open_dataset(folder / "dataset"), time.perf_counter() - start


def make_job(options: argparse.Namespace, dataset: MoleculeDataset) -> dict[str, Any]:
    """What the other side is told: the molecules as they were standardised, and the split."""
    rows = {
        split: [
            {"smiles": dataset.smiles(index), "label": float(dataset.labels(index)[0])}
            for index in map(int, dataset.indices(split))
        ]
        for split in ("train", "valid", "test")
    }
    return {
        **rows,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "threads": options.threads,
        "network": SMALL if options.network == "small" else None,
    }


def train_ours(params: Params, folder: Path, job: dict[str, Any], features: float) -> Side:
    start = time.perf_counter()
    inputs = finetune.FinetuneInputs(str(folder / "dataset"), None)
    predictor = finetune.run(params, inputs, str(folder / "predictor"))
    trained = time.perf_counter()
    test = folder / "test.smi"
    test.write_text("".join(f"{row['smiles']}\n" for row in job["test"]), encoding="utf-8")
    out = folder / "predictions.csv"
    predict.run(params, predict.PredictInputs(predictor.uri, str(test), None), str(out), Store())
    seconds = time.perf_counter() - trained
    networks, _ = load_predictor(folder / "predictor")
    [network] = networks.values()
    return Side(
        "ours",
        sum(weight.numel() for weight in network.parameters()),
        features,
        trained - start,
        seconds,
        read_predictions(out),
    )


def read_predictions(path: Path) -> list[float]:
    import polars as pl

    frame = pl.read_csv(path)
    [column] = [name for name in frame.columns if name.startswith("prediction:")]
    values: list[float] = frame[column].to_list()
    return values


def train_theirs(python: Path | None, job: dict[str, Any], folder: Path) -> Side:
    # Not resolved: the interpreter of a virtual environment is a link out of it.
    chosen = python.absolute() if python else peer_python(PEER_FOLDER)
    question, answer = folder / "job.json", folder / "answer.json"
    question.write_text(json.dumps(job), encoding="utf-8")
    log = folder / "peer.log"
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            [str(chosen), "-m", "benchmarks.peers.unimol_tools.finetuning", str(question), str(answer)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=stream,
            stderr=stream,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"unimol_tools failed:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")
    return Side(name="unimol_tools", **json.loads(answer.read_text(encoding="utf-8")))


def table(
    options: argparse.Namespace,
    job: dict[str, Any],
    ours: Side,
    theirs: Side,
    labels: np.ndarray[Any, np.dtype[np.float64]],
    known: np.ndarray[Any, np.dtype[np.float64]],
) -> Table:
    sizes = ", ".join(f"{split} {len(job[split])}" for split in ("train", "valid", "test"))
    result = Table(
        "", "unimol_tools", "ours", "theirs / ours",
        title=f"{options.benchmark}: {sizes}; {options.epochs} epochs, batch {options.batch_size}, "
        f"learning rate {options.learning_rate:g}, {options.threads} threads",
        caption=f"load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; "
        f"RMSE of the mean of the labels: {rmse(mean_of(known, len(labels)), labels):.3f}",
    )  # fmt: skip
    result.add_row("parameters", f"{theirs.parameters:,}", f"{ours.parameters:,}", "")
    parts = {"conformers, features, s": "features", "training, s": "training", "prediction, s": "prediction"}
    for name, part in parts.items():
        add_ratio(result, name, getattr(theirs, part), getattr(ours, part), 1)
    add_ratio(result, "all, s", total(theirs), total(ours), 1)
    errors = [rmse(np.array(side.predictions), labels) for side in (theirs, ours)]
    add_ratio(result, "RMSE of the test molecules", *errors, 3)
    return result


def add_ratio(result: Table, name: str, theirs: float, ours: float, digits: int) -> None:
    result.add_row(name, f"{theirs:.{digits}f}", f"{ours:.{digits}f}", f"{theirs / ours:.2f}×")


def total(side: Side) -> float:
    return side.features + side.training + side.prediction


def mean_of(
    known: np.ndarray[Any, np.dtype[np.float64]], count: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.full(count, known.mean())


def rmse(
    predicted: np.ndarray[Any, np.dtype[np.float64]], true: np.ndarray[Any, np.dtype[np.float64]]
) -> float:
    return float(np.sqrt(np.mean((predicted - true) ** 2)))


if __name__ == "__main__":
    main()
