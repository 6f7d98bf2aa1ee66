"""`unimol2 demo`: everything, on the embedded data, in a folder of its own."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import psutil
import typer
from rich.panel import Panel
from rich.table import Table

import unimol2_tasks
from unimol2_tasks.console import console, progress_bars
from unimol2_tasks.params import Params, load_params

if TYPE_CHECKING:
    from unimol2_flows.end_to_end import EndToEndResult

TARGET = "gap_eV"
_SERVER_GRACE_SECONDS = 10.0
_MODEL, _SCRATCH = "Uni-Mol2", "Uni-Mol2 without pretraining"
_MEAN = "mean of the training set"


def demo(
    out: Annotated[Path, typer.Option("--out", help="Run folder; everything is written below it.")] = Path(
        "runs/demo"
    ),
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder with molecules.csv, labelled.csv (with gap_eV) and library.csv; default: embedded.",
        ),
    ] = None,
    params: Annotated[
        Path | None, typer.Option("--params", help="YAML file; default: the demo's own parameters.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one parameter; may be repeated."),
    ] = None,
) -> None:
    """Run the whole pipeline on the embedded molecules: prepare, pretrain, fine-tune, evaluate, predict.

    Started again it serves finished steps from the cache and resumes an interrupted training.
    """
    settings = load_params(params or embedded("params.yaml"), assignments or ())
    with progress_bars():
        result = run(data or embedded("molecules.csv").parent, out, settings)
    summary = summarise(result, out)
    _show(summary, result)


def run(data: Path, out: Path, params: Params) -> "EndToEndResult":
    """Run the end-to-end flow on Prefect's temporary server, which keeps its files below `out`."""
    _confine_prefect(out / ".prefect")
    from unimol2_flows.end_to_end import end_to_end

    return end_to_end(
        molecules=str(data / "molecules.csv"),
        labelled=str(data / "labelled.csv"),
        out=str(out),
        library=str(data / "library.csv"),
        params=params,
    )


def embedded(name: str) -> Path:
    """A file of the demo: packed into the installed package, or in the source tree."""
    package = Path(unimol2_tasks.__file__).parent
    if (package / "demo_data").is_dir():
        return package / "demo_data" / name
    root = package.parent
    return root / name if name == "params.yaml" else root / "data" / "demo" / name


def summarise(result: "EndToEndResult", out: Path) -> dict[str, Any]:
    """Write `summary.json`: the figures of the run, for the gap in eV where they are errors."""
    pretraining = _read(Path(result.model.uri) / "metrics.json")
    scores = _read(Path(result.report.uri) / "metrics.json")[TARGET]
    summary = {
        "pretrain_loss_first": pretraining["train/loss_first"],
        "pretrain_loss_last": pretraining["train/loss"],
        "test_mae": scores[_MODEL]["mae"],
        "scratch_test_mae": scores[_SCRATCH]["mae"],
        "mean_baseline_mae": scores[_MEAN]["mae"],
        "classical_baseline_mae": min(
            values["mae"] for method, values in scores.items() if method not in (_MODEL, _SCRATCH, _MEAN)
        ),
        "report": f"{result.report.uri}/report.html",
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _confine_prefect(home: Path) -> None:
    """Keep Prefect's server, database and results below `home`; it reads these when it is imported."""
    home.mkdir(parents=True, exist_ok=True)
    _end_forgotten_servers(home)
    # Somebody's own server is not for the demo.
    os.environ.pop("PREFECT_API_URL", None)
    os.environ.update(
        {
            "PREFECT_HOME": str(home.absolute()),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # A first start makes the database, which takes longer than the 20 s that Prefect allows.
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
            "PREFECT_LOGGING_LEVEL": "WARNING",
        }
    )


def _end_forgotten_servers(home: Path) -> None:
    """End the temporary server of a demo that was killed: it outlives its owner and holds the database."""
    for process in psutil.process_iter(["cmdline"]):
        if "prefect.server.api.server:create_app" not in (process.info["cmdline"] or ()):
            continue
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("PREFECT_HOME") == str(home.absolute()):
                process.terminate()
                process.wait(_SERVER_GRACE_SECONDS)


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _show(summary: Mapping[str, Any], result: "EndToEndResult") -> None:
    table = Table("method", "MAE of the gap (eV)", title="Held-out scaffolds", title_justify="left")
    rows = {
        "Uni-Mol2, pretrained here": "test_mae",
        "the same from scratch": "scratch_test_mae",
        "best classical model": "classical_baseline_mae",
        "mean of the training set": "mean_baseline_mae",
    }
    for name, key in rows.items():
        table.add_row(name, f"{summary[key]:.3f}")
    console.print(table)
    lines = [
        f"pretraining loss {summary['pretrain_loss_first']:.3f} → {summary['pretrain_loss_last']:.3f}",
        f"report       {summary['report']}",
    ]
    if result.predictions is not None:
        lines.append(f"predictions  {result.predictions.uri}")
    console.print(Panel("\n".join(lines), expand=False))
