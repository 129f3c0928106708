"""One forward pass under way, kept per thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from locant.probe.call import Call
from locant.probe.device_clock import DeviceClock
from locant.probe.effort import Look
from locant.probe.estimates import Kind
from locant.probe.lookups import LookupMode

if TYPE_CHECKING:
    from locant.probe.keys.sighting import Sighting


@dataclass
class Pass:
    """What is gathered between the two hooks of a watched module; `depth` counts calls of the module inside itself.

    Made for every pass: what it does not meet stays with the class. `kind`: passes of a kind are alike to the samplers.
    Readings of the host's clock: `opened` and `closed` begin and end the hooks, `started` and `stopped` the forward;
    `armed_seconds` of what lies before it went to `looks`, those that were chosen. `clock`: the device's, on CUDA.
    """

    number: int
    module: nn.Module | None
    frame: FrameType | None
    call: Call
    cached: int | Tensor | None
    cache_id: int
    cache_parent: int
    phase: str
    kind: Kind
    segments: tuple[tuple[int, ...], ...] | None
    request_ids: tuple[str, ...]
    clock: DeviceClock | None = field(default=None, init=False)
    opened: float = field(default=0.0, init=False)
    started: float = field(default=0.0, init=False)
    stopped: float = field(default=0.0, init=False)
    closed: float = field(default=0.0, init=False)
    armed_seconds: float = field(default=0.0, init=False)
    looks: tuple[Look, ...] = field(default=(), init=False)
    rotary_look: Look | None = field(default=None, init=False)
    attention_look: Look | None = field(default=None, init=False)
    covers_attention: bool = field(default=False, init=False)
    compiled: bool = field(default=False, init=False)
    across: bool = field(default=False, init=False)
    depth: int = field(default=0, init=False)
    trace: tuple[str, str] = field(default=("", ""), init=False)
    positions: Tensor | None = field(default=None, init=False)
    padding_mask: Tensor | None = field(default=None, init=False)
    open_memory: Tensor | None = field(default=None, init=False)
    rotary_seen: bool = field(default=False, init=False)
    rotary_dtype: str = field(default="", init=False)
    rotary: tuple[Tensor, ...] = field(default=(), init=False)
    hashed: tuple[Tensor, ...] = field(default=(), init=False)
    bias: Tensor | None = field(default=None, init=False)
    wrong_buckets: Tensor | None = field(default=None, init=False)
    layers: Sequence[Any] = field(default=(), init=False)
    keys_seen: bool = field(default=False, init=False)
    sighting: Sighting | None = field(default=None, init=False)

    @property
    def host_seconds(self) -> float:
        """The forward on the host's clock."""
        return self.stopped - self.started

    @property
    def seconds(self) -> float:
        """The forward: on CUDA by the device's clock, once that was read."""
        return self.clock.forward_seconds if self.clock is not None else self.stopped - self.started

    @property
    def hook_seconds(self) -> float:
        """What the two hooks of the pass took beside its looks; on a device at least what they had it do."""
        closing = self.closed - self.stopped
        if self.clock is not None:
            closing = max(closing, self.clock.closing_seconds)
        return self.started - self.opened - self.armed_seconds + closing

    def let_go(self) -> None:
        """Hold nothing of the model's any longer: its output must not live until the agent's thread comes round."""
        call = self.call
        self.module = self.frame = self.bias = self.padding_mask = self.positions = self.open_memory = None
        call.ids = call.mask = call.positions = call.token_types = call.cache = call.memory = call.memory_mask = None

    @property
    def is_whole(self) -> bool:
        """Whether every layer's attention was looked at, as the agent asked, and met."""
        return self.attention_look is not None and self.attention_look.whole and bool(self.layers)

    def forget_device(self) -> None:
        """Answer with the host's times from now on: the device failed, or nobody waits for it."""
        self.clock = None
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
