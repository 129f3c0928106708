"""How long a pass took on a CUDA device: one pair of events, and in some passes a third between forward and hook."""

from __future__ import annotations

from typing import Any

import torch

from locant.probe.estimates import Kind
from locant.probe.timing import give_event, take_event

_EVERY = 32
_FIRST = 8
_ADAPT = 0.3
_REMEMBERED = 1024


class DeviceClock:
    """Started at construction, on the device's current stream. `end` comes after all that the hooks have launched.

    `forward_seconds` and `closing_seconds` (what the closing hook took of the device) answer after `read`.
    """

    __slots__ = ("_begin", "_middle", "closing_seconds", "device", "end", "forward_seconds")

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._middle: Any = None
        self.end: Any = None
        self.forward_seconds = self.closing_seconds = 0.0
        self._begin = take_event(device, timing=True)
        self._begin.record(torch.cuda.current_stream(device))

    def between(self) -> None:
        """The forward is launched, the hook's own work is not: in a pass that measures the latter."""
        self._middle = take_event(self.device, timing=True)
        self._middle.record(torch.cuda.current_stream(self.device))

    def stop(self) -> None:
        """All is launched, the hook's own work too."""
        self.end = take_event(self.device, timing=True)
        self.end.record(torch.cuda.current_stream(self.device))

    @property
    def ready(self) -> bool:
        """Whether the device has got past the end of the pass."""
        return self.end is None or bool(self.end.query())

    def read(self, expected: float) -> bool:
        """Take the times, once `ready`; whether the hook's was measured. Else it is taken to be `expected`."""
        measured, events = self._middle is not None, (self._begin, self._middle, self.end)
        whole = float(self._begin.elapsed_time(self.end)) / 1e3
        self.closing_seconds = min(float(self._middle.elapsed_time(self.end)) / 1e3 if measured else expected, whole)
        self.forward_seconds = whole - self.closing_seconds
        self._begin = self._middle = self.end = None
        for event in events:
            if event is not None:
                give_event(self.device, event, timing=True)
        return measured


class ClosingTimes:
    """What the closing hook takes of the device by kind of pass: measured in the first passes of a kind and in a share
    of the others, expected in the rest. The model's thread asks, the agent's tells."""

    def __init__(self) -> None:
        self._seconds: dict[Kind, float] = {}
        self._passes = 0

    def wants(self, kind: Kind) -> bool:
        """Whether this pass is to be measured."""
        self._passes += 1
        return kind not in self._seconds or self._passes <= _FIRST or self._passes % _EVERY == 0

    def read(self, clock: DeviceClock, kind: Kind) -> None:
        """Read a clock that is ready, and learn from it."""
        known = self._seconds.get(kind)
        if clock.read(known or 0.0):
            if known is None and len(self._seconds) >= _REMEMBERED:
                del self._seconds[next(iter(self._seconds))]
            found = clock.closing_seconds
            self._seconds[kind] = found if known is None else known + _ADAPT * (found - known)
