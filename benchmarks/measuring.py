"""How a step is measured: its time, what it allocates, and the rate at which the device moves memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

Step = Callable[[], object]


def timed(step: Step, device: str) -> float:
    """Seconds of one call: of this process on the CPU, of the clock where a device works."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    started = clock()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def copied_bytes_per_second(device: str) -> float:
    """What goes to and from memory, at best, while a buffer that no cache holds is copied."""
    source = torch.zeros(1 << (27 if device == "cpu" else 30), dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * source.numel() / min(timed(lambda: target.copy_(source), device) for _ in range(7))


def peak_bytes(step: Step, device: str) -> int:
    """The most that a step allocates beside what is there, by the allocator's own record."""
    step()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    events = record.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return max(itertools.accumulate(nbytes for _, nbytes in changes))
