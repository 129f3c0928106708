"""One forward pass under way, kept per thread."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from torch import Tensor, nn

from locant.probe.call import Call
from locant.probe.lookups import LookupMode
from locant.probe.timing import Stopwatch


@dataclass(slots=True)
class Pass:
    """What is gathered between the two hooks of a watched module; `depth` counts calls of the module inside itself."""

    number: int
    module: nn.Module
    frame: FrameType
    call: Call
    cached: int | Tensor | None
    cache_id: int
    cache_parent: int
    phase: str
    stopwatch: Stopwatch
    looks_at_rotary: bool = False
    looks_at_attention: bool = False
    depth: int = 0
    segments: tuple[tuple[int, ...], ...] | None = None
    request_ids: tuple[str, ...] = ()
    trace: tuple[str, str] = ("", "")
    positions: Tensor | None = None
    padding_mask: Tensor | None = None
    rotary_seen: bool = False
    rotary_dtype: str = ""
    rotary: list[Tensor] = field(default_factory=list)
    hashed: list[Tensor] = field(default_factory=list)
    bias: Tensor | None = None
    layers: list[Any] = field(default_factory=list)


class PassSlot(threading.local):
    """The pass that this thread is in, what was declared for its next one, and a lookup mode that is open."""

    current: Pass | None = None
    segments: tuple[tuple[int, ...], ...] | None = None
    request_ids: tuple[str, ...] = ()
    mode: LookupMode | None = None

    def take_declared(self) -> tuple[tuple[tuple[int, ...], ...] | None, tuple[str, ...]]:
        """What was declared for the pass that begins, and forget it."""
        taken = self.segments, self.request_ids
        self.segments, self.request_ids = None, ()
        return taken

    def open_mode(self, mode: LookupMode) -> None:
        """Watch this thread's torch functions until `close_mode`."""
        enter: Any = mode.__enter__
        enter()
        self.mode = mode

    def close_mode(self) -> LookupMode | None:
        """End the watch, also one that an interrupt left open; the mode, if one was open."""
        mode, self.mode = self.mode, None
        if mode is not None:
            leave: Any = mode.__exit__
            leave(None, None, None)
        return mode


def is_running(frame: FrameType) -> bool:
    """Whether `frame` is still on this thread's stack. A pass that was left by KeyboardInterrupt is not."""
    above: FrameType | None = sys._getframe(1)
    while above is not None:
        if above is frame:
            return True
        above = above.f_back
    return False
