"""`unimol2 doctor`: what this machine has, what is missing, what to type."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from unimol2_tasks.versions import code_version

_PACKAGES = ("torch", "deepspeed", "rdkit", "prefect", "dvc", "s3fs", "pandera")
_OLDEST_PYTHON = (3, 11)
_LEAST_FREE_GB = 5


def examine(console: Console) -> bool:
    """Print the findings; returns whether everything that is needed is there."""
    table = Table("", "", "what to do", title="unimol2 doctor", title_justify="left")
    healthy = True
    for needed, what, finding, advice in _findings():
        healthy &= not (needed and advice)
        mark = "[green]✓[/]" if not advice else ("[red]✗[/]" if needed else "[yellow]–[/]")
        table.add_row(f"{mark} {what}", finding, advice)
    console.print(table)
    return healthy


def _findings() -> Iterator[tuple[bool, str, str, str]]:
    """(is needed, what, what was found, what to do: empty where all is well)."""
    version = sys.version.split()[0]
    yield (
        True,
        "python",
        version,
        "" if sys.version_info >= _OLDEST_PYTHON else "install Python 3.11 or newer",
    )
    yield True, "unimol2-tasks", code_version(), ""
    for package in _PACKAGES:
        try:
            yield True, package, importlib.metadata.version(package), ""
        except importlib.metadata.PackageNotFoundError:
            yield True, package, "missing", f"pip install {package}"
    yield True, "cores", f"{len(os.sched_getaffinity(0))}", ""
    yield True, "memory", f"{psutil.virtual_memory().total / 2**30:.0f} GiB", ""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    yield False, "free disk", f"{free:.0f} GiB", "" if free >= _LEAST_FREE_GB else "make room for checkpoints"
    gpus = _gpus()
    yield (
        False,
        "GPUs",
        ", ".join(gpus) or "none",
        "" if gpus else "training runs on the CPU: use the preset tiny",
    )
    yield (
        False,
        "git",
        shutil.which("git") or "none",
        "" if shutil.which("git") else "DVC needs it: install git",
    )


def _gpus() -> list[str]:
    """Names of the CUDA devices, asked of the driver: no CUDA context is made in this process."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
