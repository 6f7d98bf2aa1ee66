"""What the machine can do, to judge times by."""

import time
from pathlib import Path
from statistics import median

import torch

_BF16_FLAGS = ("amx_bf16", "avx512_bf16")
# On a CPU the shape of most products of the network; on a GPU one that fills it.
_SHAPES = {"cpu": (4096, 512, 512), "cuda": (8192, 8192, 8192)}
_REPETITIONS = 21


def bf16_instructions() -> str | None:
    """The instructions that multiply bf16 matrices, if the processor has any."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("flags"):
            return next((flag for flag in _BF16_FLAGS if flag in line.split()), None)
    return None


def matmul_rate(precision: torch.dtype, device: torch.device) -> float:
    """Floating-point operations per second of one matrix product: a median."""
    rows, inner, columns = _SHAPES[device.type]
    left, right = (torch.randn(n, inner, dtype=precision, device=device) for n in (rows, columns))
    seconds: list[float] = []
    with torch.no_grad():
        for _ in range(_REPETITIONS):
            wait(device)
            start = time.perf_counter()
            torch.nn.functional.linear(left, right)
            wait(device)
            seconds.append(time.perf_counter() - start)
    return 2 * rows * inner * columns / median(seconds)


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def name_of(device: torch.device) -> str:
    """What the computing is done on."""
    return torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
