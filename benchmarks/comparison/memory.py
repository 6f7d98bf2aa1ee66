"""The memory of this process, as Linux counts it (proc(5))."""

import ctypes
import gc
from pathlib import Path

_PROCESS = Path("/proc/self")


def forget_peak() -> None:
    """Give freed memory back to the system and let the peak begin again at what is held now."""
    gc.collect()
    # glibc keeps freed blocks, and what it keeps would hide as much of the next peak.
    ctypes.CDLL(None).malloc_trim(0)
    (_PROCESS / "clear_refs").write_text("5", encoding="ascii")


def mib_held() -> float:
    """Resident memory, MiB."""
    return _status("VmRSS")


def peak_mib() -> float:
    """The most resident memory since `forget_peak`, MiB."""
    return _status("VmHWM")


def high_water_mark(pid: int) -> float:
    """The most resident memory of any process so far, MiB; 0 where it has ended."""
    try:
        return _read("VmHWM", Path(f"/proc/{pid}")) or 0.0
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _status(field: str) -> float:
    value = _read(field, _PROCESS)
    if value is None:
        raise OSError(f"{_PROCESS / 'status'} has no {field}; peak memory can be measured on Linux only")
    return value


def _read(field: str, process: Path) -> float | None:
    """A field in MiB; None where it is absent, as of a process that has ended and is not yet collected."""
    for line in (process / "status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024
    return None
