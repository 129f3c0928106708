"""How long a pass took: the wall clock on the CPU, events on a CUDA stream; and what can be asked without waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


def cuda_event(*, timing: bool = False) -> Any:
    """A fresh CUDA event. torch does not type them."""
    make: Any = torch.cuda.Event
    return make(enable_timing=timing)


_EVENTS = 256
_events: dict[tuple[torch.device, bool], list[Any]] = {}
"""Events that were read and may be recorded again: making and destroying one is a call of the driver each."""


def take_event(device: torch.device, *, timing: bool) -> Any:
    """An event that nobody else holds."""
    try:
        return _events[device, timing].pop()
    except (KeyError, IndexError):
        return cuda_event(timing=timing)


def give_event(device: torch.device, event: Any, *, timing: bool) -> None:
    """Nobody will ask this event any more."""
    free = _events.setdefault((device, timing), [])
    if len(free) < _EVENTS:
        free.append(event)


class Stopwatch:
    """Started at construction. `seconds` answers once `ready`, and never waits.

    `started` and `stopped` are readings of `timer`, the host's clock.
    """

    __slots__ = ("_begin", "_end", "_timer", "started", "stopped")

    def __init__(self, device: torch.device | None, timer: Callable[[], float] = time.perf_counter) -> None:
        self._begin: Any = None
        self._end: Any = None
        self._timer = timer
        self.started = self.stopped = timer()
        if device is not None and device.type == "cuda":
            self._begin, self._end = (cuda_event(timing=True) for _ in range(2))
            self._begin.record(torch.cuda.current_stream(device))

    def stop(self, device: torch.device | None) -> None:
        """The pass is over, or all of it is launched."""
        self.stopped = self._timer()
        if self._end is not None:
            self._end.record(torch.cuda.current_stream(device))

    @property
    def ready(self) -> bool:
        """Whether the device has got past the end of the pass."""
        return self._end is None or bool(self._end.query())

    @property
    def seconds(self) -> float:
        """Duration; on CUDA between the two events."""
        if self._begin is None or self._end is None:
            return self.stopped - self.started
        return float(self._begin.elapsed_time(self._end)) / 1e3

    def forget_device(self) -> None:
        """Answer with the host's clock from now on: the device failed."""
        self._begin = self._end = None

    @property
    def host_seconds(self) -> float:
        """Time on the host's clock between start and stop."""
        return self.stopped - self.started

    @property
    def on_device(self) -> bool:
        """Whether a device measures this too."""
        return self._end is not None


def capturing(device: torch.device | None) -> bool:
    """Whether a CUDA graph is being captured: whatever were launched now would be replayed for ever."""
    return device is not None and device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def peak_bytes(device: torch.device | None) -> int:
    """Largest memory allocated on a CUDA device so far; 0 elsewhere. Costs some 50 microseconds: not for every pass."""
    return int(torch.cuda.max_memory_allocated(device)) if device is not None and device.type == "cuda" else 0
