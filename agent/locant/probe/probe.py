"""The probe of one model: it puts its hooks on, gathers passes, and hands observations to a channel."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from torch import nn

from locant.observation import Detached, Deviation, ModelAttached, Observation, ProbeHealth, StreamFacts
from locant.probe.arrivals import Arrivals
from locant.probe.attention.attach import attend
from locant.probe.audit import audit
from locant.probe.caches import CacheBook
from locant.probe.capture import Shared, UnitCapture
from locant.probe.governor import Governor
from locant.probe.hooks import Guard
from locant.probe.install import Hooks, install
from locant.probe.machine import machine_of, this_host
from locant.probe.memory import EncoderMemory
from locant.probe.options import ProbeOptions
from locant.probe.passes import PassSlot
from locant.probe.profile import describe, name_of, version_of
from locant.probe.rules import row_rules
from locant.probe.streams import counted
from locant.probe.structure import require_module, units
from locant.probe.timing import peak_bytes
from locant.probe.wishes import Wishes
from locant.wire.channel import Channel

__all__ = ["Probe", "ProbeOptions"]

T = TypeVar("T")
_HEALTH_SECONDS = 5.0
_SLOW_SECONDS = 1.0


class Probe:
    """Hooks on one model. The model's threads only ever leave passes; `poll` turns them into observations.

    Raises ModelError when `model` is no torch module.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        model_id: int,
        name: str | None = None,
        version: str | None = None,
        options: ProbeOptions | None = None,
        channel: Channel,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.model = require_module(model)
        self.model_id = model_id
        self.profile = describe(model)
        self.name = name or name_of(model)
        self.version = version or version_of(model, self.profile)
        self.options = options or ProbeOptions()
        self._channel = channel
        self._clock = clock
        self._guard = Guard(strict=self.options.strict)
        self.governor = Governor(self.options.overhead_budget)
        self.wishes = Wishes(timer, lambda: self.options.looks_at_attention and "attention" not in self._guard.off)
        book, slot, numbers = CacheBook(), PassSlot(), itertools.count(1)
        self._shared = Shared(self._guard, book, numbers, slot, self.governor, EncoderMemory(), self.wishes, timer)
        self._arrivals = Arrivals(model_id, self.options, self._shared, self._offer, clock)
        self._captures: list[UnitCapture] = []
        self._hooks: list[Hooks] = []
        self._remove: list[Callable[[], None]] = []
        self._polling = threading.RLock()
        self._next_health = self._next_slow = 0.0
        self._deviations: tuple[Deviation, ...] = ()
        self._host, self._machine = this_host(), ""

    def attach(self) -> None:
        """Audit the model, introduce it and put the hooks on."""
        self._introduce()
        rules = row_rules(self.model, self.profile, salt=secrets.randbits(40))
        for unit in units(self.model):
            capture = UnitCapture(unit, self.profile, rules, self.options, self._shared, self._arrivals.leave)
            self._captures.append(capture)
            hooks = install(capture, self._guard, inside=self.options.inside)
            self._hooks.append(hooks)
            self._remove += hooks.removers
            if self.options.inside:
                self._remove.append(attend(capture, self.options, self._guard))

    def declare(
        self, segments: Sequence[Sequence[int]] | None = None, request_ids: Sequence[str] | None = None
    ) -> None:
        """Say what the rows of this thread's next forward hold: lengths of packed requests, or each row's request."""
        self._shared.slot.segments = tuple(tuple(row) for row in segments) if segments is not None else None
        self._shared.slot.request_ids = tuple(request_ids or ())

    def declared(self) -> tuple[bool, tuple[str, ...]]:
        """Whether segments, and which request ids, were declared for this thread's next forward."""
        return self._shared.slot.segments is not None, self._shared.slot.request_ids

    def stream(self, chunks: Iterable[T]) -> Iterator[T]:
        """Pass a stream through unchanged, counting its chunks and how it ended."""

        def done(count: int, error: str) -> None:
            self._offer(StreamFacts(self.model_id, self._clock(), count, int(bool(error)), error))

        return counted(chunks, done)

    def poll(self) -> None:
        """Move what the device has finished to the channel. Never waits; called from the agent's thread."""
        if not self._polling.acquire(blocking=False):
            return
        try:
            self._arrivals.collect()
            self._tend()
        finally:
            self._polling.release()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything seen so far is in the channel; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        while True:
            with self._polling:
                self._arrivals.collect()
                self._tend()
            if not self._arrivals.waiting:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.001)

    def forget(self) -> None:
        """Drop what waits and was dropped: in a forked child both belong to the parent, locks included.

        With it the model's introduction may be gone, where the fork came before it was sent: the child says it itself.
        """
        self._polling = threading.RLock()
        self._arrivals.forget()
        self.wishes.forget()
        self.announce(self._deviations)

    def close(self) -> None:
        """Take every hook off and hand over the rest. Calling it again does nothing."""
        removers, self._remove = self._remove, []
        if not removers:
            return
        for remove in removers:
            remove()
        self.flush(1.0)
        self._shared.book.close()
        self._report_health()
        self._offer(Detached(self.model_id, self._clock()))

    def on_close(self, action: Callable[[], None]) -> None:
        """Have `action` done when the hooks are taken off."""
        self._remove.append(action)

    # --- on the agent's thread

    def _tend(self) -> None:
        """What is done every second or five: re-audit after a change, memory, the probe's own health."""
        self.governor.settle()
        now = self._clock()
        if now >= self._next_slow:
            self._next_slow = now + _SLOW_SECONDS
            device = next((parameter.device for parameter in self.model.parameters()), None)
            self._arrivals.peak_bytes = peak_bytes(device)
            self._follow_compiler()
        if any(capture.parts.changed for capture in self._captures):
            for capture in self._captures:
                capture.parts.changed = False
            self._introduce(again=True)
        if now >= self._next_health:
            self._next_health = now + _HEALTH_SECONDS
            self._report_health()

    def _follow_compiler(self) -> None:
        """A model that was compiled in place after the watch began is watched around its compiled call from now on."""
        for hooks, capture in zip(self._hooks, self._captures, strict=True) if self._remove else ():
            known = len(hooks.removers)
            hooks.around_compiled(capture.unit.module, capture.before, capture.after)
            self._remove += hooks.removers[known:]

    def _introduce(self, *, again: bool = False) -> None:
        try:
            found, machine = audit(self.model, self.profile), machine_of(self.model, self._host)
        except Exception as error:
            self._guard.failed("rotary", error)
            found, machine = (), ""
        if again and (found, machine) == (self._deviations, self._machine):
            return
        self._deviations, self._machine = found, machine
        self.announce(found)

    @property
    def guard(self) -> Guard:
        """Counts the errors of every part, those beside the probe too; they are exported with its health."""
        return self._guard

    def announce(self, deviations: tuple[Deviation, ...]) -> None:
        """Tell the agent what somebody else found to deviate in this model."""
        own = (self.model_id, self._clock(), self.name, self.version, self.profile)
        self._offer(ModelAttached(*own, deviations, self._machine))

    def _report_health(self) -> None:
        self._offer(
            ProbeHealth(
                self.model_id,
                self._clock(),
                dropped=tuple(sorted(self._arrivals.dropped.items())),
                errors=tuple(sorted(self._guard.errors.items())),
                capture_seconds=self.governor.spent_seconds,
                forward_seconds=self.governor.forward_seconds,
                looks=tuple(sorted(self.governor.looks.items())),
                requests=tuple(sorted(self.wishes.counts.items())),
            )
        )

    def _offer(self, observation: Observation) -> None:
        self._channel.offer(observation)
