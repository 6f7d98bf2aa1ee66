"""What the machine can do, to judge times by."""

import time
from pathlib import Path
from statistics import median

import torch

_BF16_FLAGS = ("amx_bf16", "avx512_bf16")
_SHAPE = (4096, 512, 512)
_REPETITIONS = 21


def bf16_instructions() -> str | None:
    """The instructions that multiply bf16 matrices, if the processor has any."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("flags"):
            return next((flag for flag in _BF16_FLAGS if flag in line.split()), None)
    return None


def matmul_rate(precision: torch.dtype) -> float:
    """10⁹ floating-point operations per second, 4096 × 512 times 512 × 512: a median."""
    rows, inner, columns = _SHAPE
    left, right = torch.randn(rows, inner, dtype=precision), torch.randn(columns, inner, dtype=precision)
    seconds: list[float] = []
    with torch.no_grad():
        for _ in range(_REPETITIONS):
            start = time.perf_counter()
            torch.nn.functional.linear(left, right)
            seconds.append(time.perf_counter() - start)
    return 2 * rows * inner * columns / median(seconds) / 1e9
