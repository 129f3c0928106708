"""What the agent's own process costs: processor time and memory, read from the kernel."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = resource.getpagesize()


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds since the process began, user and system, and the bytes of memory that are resident now."""

    cpu_seconds: float
    memory_bytes: int


def own_usage(statm: Path = Path("/proc/self/statm")) -> Usage:
    """This process's usage. Where the kernel has no /proc, memory is the peak instead of the present."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    try:
        resident = int(statm.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        resident = spent.ru_maxrss * 1024
    return Usage(spent.ru_utime + spent.ru_stime, resident)
