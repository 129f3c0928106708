"""How much of one pass is looked at, and what a look takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

import torch

from locant.probe.timing import Stopwatch


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of a pass's attention is looked at: query rows, layers whose weights are computed, heat maps of them."""

    rows: int
    layers: int
    maps: int = 1

    @property
    def size(self) -> int:
        """What the price grows with."""
        return self.rows * self.layers


FULL_LAYERS = 4
"""Layers of the largest of the usual efforts."""


def attention_efforts(rows: int) -> tuple[Effort, ...]:
    """From most to least, for at most so many rows a pass."""
    half, quarter = max(rows // 2, 1), max(rows // 4, 1)
    return Effort(rows, FULL_LAYERS), Effort(half, FULL_LAYERS), Effort(half, FULL_LAYERS // 2), Effort(quarter, 1)


ATTENTION_EFFORTS = attention_efforts(32)
"""At the default of `ProbeOptions.attention_rows`."""

MOST_MAPS = 32
"""Four KiB each: a pass that is looked at whole stays well under a mebibyte."""


def whole_efforts(rows: int, layers: int) -> tuple[Effort, ...]:
    """Every layer, from four times the usual rows to a quarter of them, and last with one map."""
    counts = (4 * rows, 2 * rows, rows, max(rows // 2, 1), max(rows // 4, 1))
    return (*(Effort(count, layers, min(layers, MOST_MAPS)) for count in counts), Effort(counts[-1], layers))


ROTARY_EFFORTS = (Effort(1, 1),)
"""Cos and sin are compared at a few positions or not at all."""


class Chance(Enum):
    """Why a pass is not looked at whole now: it is worth saving for, or nothing would ever fit."""

    LATER = 0
    NONE = 1


class Interest(Enum):
    """How much a pass is wanted: not at all, as one of the share that is sampled, as the first of its kind."""

    NONE = 0
    SHARE = 1
    NEW = 2


@dataclass(slots=True)
class Look:
    """One look under way, at `subject` ("attention", "rotary"). `free`: it is not charged to the budget. `whole`: at
    every layer, for the agent asked.

    `reserved_seconds` is what it is expected to take, `host_seconds` what it took of the host's time so far.
    """

    subject: str
    effort: Effort
    free: bool = False
    whole: bool = False
    reserved_seconds: float = 0.0
    host_seconds: float = 0.0
    timer: Callable[[], float] = time.perf_counter
    _watches: list[Stopwatch] = field(default_factory=list)

    @contextmanager
    def running(self, device: torch.device | None) -> Iterator[None]:
        """What happens inside is work of this look, on the host and on the device's current stream."""
        watch = Stopwatch(device, self.timer)
        try:
            yield
        finally:
            watch.stop(device)
            self.host_seconds += watch.host_seconds
            if watch.on_device:
                self._watches.append(watch)

    @property
    def seconds(self) -> float:
        """What it took: the host's time or the device's, whichever is longer. Ask when the pass's device is ready."""
        return max(self.host_seconds, sum(watch.seconds for watch in self._watches))

    def forget_device(self) -> None:
        """Answer with the host's time from now on: the device failed, or nobody waits for it."""
        self._watches.clear()
