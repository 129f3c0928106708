"""One forward pass under way, kept per thread."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from locant.probe.call import Call
from locant.probe.effort import Look
from locant.probe.estimates import Kind
from locant.probe.lookups import LookupMode
from locant.probe.timing import Stopwatch

if TYPE_CHECKING:
    from locant.probe.keys.sighting import Sighting


@dataclass(slots=True)
class Pass:
    """What is gathered between the two hooks of a watched module; `depth` counts calls of the module inside itself.

    `kind`: passes of a kind are alike to the samplers. `looks` are those that were chosen; `armed_seconds` is what they
    took before the stopwatch ran, `opening_seconds` what the first hook took beside, `closing` runs in the second one.
    """

    number: int
    module: nn.Module
    frame: FrameType
    call: Call
    cached: int | Tensor | None
    cache_id: int
    cache_parent: int
    phase: str
    kind: Kind
    segments: tuple[tuple[int, ...], ...] | None
    request_ids: tuple[str, ...]
    stopwatch: Stopwatch = field(init=False)
    closing: Stopwatch | None = None
    opening_seconds: float = 0.0
    armed_seconds: float = 0.0
    looks: list[Look] = field(default_factory=list)
    rotary_look: Look | None = None
    attention_look: Look | None = None
    covers_attention: bool = False
    compiled: bool = False
    depth: int = 0
    trace: tuple[str, str] = ("", "")
    positions: Tensor | None = None
    padding_mask: Tensor | None = None
    open_memory: Tensor | None = None
    rotary_seen: bool = False
    rotary_dtype: str = ""
    rotary: list[Tensor] = field(default_factory=list)
    hashed: list[Tensor] = field(default_factory=list)
    bias: Tensor | None = None
    wrong_buckets: Tensor | None = None
    layers: list[Any] = field(default_factory=list)
    keys_seen: bool = False
    sighting: Sighting | None = None

    @property
    def hook_seconds(self) -> float:
        """What the two hooks of the pass took beside its looks; on a device at least what they had it do."""
        if self.closing is None:
            return self.opening_seconds
        host = self.closing.stopped - self.stopwatch.stopped
        return self.opening_seconds + max(host, self.closing.seconds)

    @property
    def is_whole(self) -> bool:
        """Whether every layer's attention was looked at, as the agent asked, and met."""
        return self.attention_look is not None and self.attention_look.whole and bool(self.layers)

    def forget_device(self) -> None:
        """Answer with the host's times from now on: the device failed, or nobody waits for it."""
        self.stopwatch.forget_device()
        if self.closing is not None:
            self.closing.forget_device()
        for look in self.looks:
            look.forget_device()


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


def is_recomputed() -> bool:
    """Whether what starts now runs inside a backward pass: checkpointing does a whole forward again there."""
    task: int = torch._C._current_graph_task_id()
    return task != -1
