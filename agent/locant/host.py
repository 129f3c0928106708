"""The model's side of an agent: the probes of one process, and the thread that hands on what they saw."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from locant.observation import Observation
from locant.wire.channel import Channel

if TYPE_CHECKING:
    from torch import nn

    from locant.probe.probe import Probe, ProbeOptions

Deliver = Callable[[Sequence[Observation]], object]
_DRAIN_INTERVAL_SECONDS = 0.05
"""Draining in batches costs a tenth of waking up for each observation."""
_LONGEST_FORK_WAIT_SECONDS = 0.5
_LOG_INTERVAL_SECONDS = 60.0
_LOG = logging.getLogger(__name__)


class ProbeHost:
    """Probes, the bounded channel behind them, and one background thread that empties it into `deliver`."""

    def __init__(
        self,
        deliver: Deliver,
        *,
        capacity: int = 4096,
        clock: Callable[[], float] = time.time,
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        self.channel = Channel(capacity)
        self._deliver = deliver
        self._idle = idle
        self._clock = clock
        self._probes: tuple[Probe, ...] = ()
        self._chores: tuple[Callable[[], object], ...] = ()
        self._model_ids = itertools.count(1)
        self._stop = threading.Event()
        self._renew()
        _survive_fork(self)

    def _renew(self) -> None:
        """A lock and a thread of this process's own."""
        self._pumping = threading.Lock()
        self._forking = False
        self._thread: threading.Thread | None = None

    def attach(self, model: nn.Module, *, name: str | None, version: str | None, options: ProbeOptions) -> Probe:
        """Put one more model under watch; the returned probe is already attached."""
        from locant.probe.probe import Probe

        probe = Probe(
            model,
            model_id=next(self._model_ids),
            name=name,
            version=version,
            options=options,
            channel=self.channel,
            clock=self._clock,
        )
        probe.attach()
        self._probes = (*self._probes, probe)
        self._start()
        return probe

    def detach(self, probe: Probe) -> None:
        """Remove a probe's hooks and hand on what it had seen."""
        probe.close()
        self._probes = tuple(other for other in self._probes if other is not probe)
        self.pump()

    def pump(self) -> int:
        """Hand on everything that waits; how many observations that were."""
        with self._pumping:
            self._poll()
            handed = 0
            while batch := self.channel.drain():
                self._deliver(batch)
                handed += len(batch)
            self._idle()
            return handed

    def _round(self) -> None:
        """Hand on what waits, a pass that was looked at whole in several rounds."""
        with self._pumping:
            self._poll()
            if batch := self.channel.gulp():
                self._deliver(batch)
            self._idle()

    def _poll(self) -> None:
        for probe in self._probes:
            probe.poll()

    def flush(self, timeout: float) -> bool:
        """Wait until everything seen so far is handed on; False when `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        unfinished = [probe for probe in self._probes if not probe.flush(max(0.0, deadline - time.monotonic()))]
        self.pump()
        return not unfinished

    def close(self) -> None:
        """Detach every probe, hand on the rest and end the thread."""
        for probe in self._probes:
            self.detach(probe)
        self.pump()
        self._stop.set()
        self.channel.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def look_whole(self, model_id: int, phase: str) -> bool:
        """Have a model's next pass of a phase looked at whole; False when it is unknown here, or not now."""
        probe = next((one for one in self._probes if one.model_id == model_id), None)
        if probe is None:
            self.refuse_request()
            return False
        return probe.wishes.ask(phase)

    def refuse_request(self) -> None:
        """Count what the agent said that was no request for a model of ours, with the first of them."""
        for probe in self._probes[:1]:
            probe.wishes.refuse()

    def add_chore(self, chore: Callable[[], object]) -> Callable[[], None]:
        """Let the background thread call `chore` after each round, outside every lock; returns what ends that."""
        self._chores = (*self._chores, chore)

        def remove() -> None:
            self._chores = tuple(other for other in self._chores if other is not chore)

        return remove

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="locant-agent", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        complained = -_LOG_INTERVAL_SECONDS
        while not self._stop.wait(_DRAIN_INTERVAL_SECONDS):
            try:
                self._round()
                for chore in self._chores:
                    chore()
            except Exception:  # this thread must outlive whatever goes wrong once
                if time.monotonic() - complained >= _LOG_INTERVAL_SECONDS:
                    complained = time.monotonic()
                    _LOG.warning("handing on what the probes saw failed; going on", exc_info=True)

    def _quiesce(self) -> None:
        """Before a fork: let the thread finish its round, so that no lock is copied in the held state."""
        self._forking = self._pumping.acquire(timeout=_LONGEST_FORK_WAIT_SECONDS)

    def _resume(self) -> None:
        """After a fork, in the parent."""
        if self._forking:
            self._pumping.release()

    def _restart_in_child(self) -> None:
        """A fork copies the probes and not the thread: give the child a thread of its own."""
        running = self._thread is not None
        self._renew()
        self.channel.forget()
        for probe in self._probes:
            probe.forget()
        if running and not self._stop.is_set():
            self._start()


def _survive_fork(host: ProbeHost) -> None:
    reference = weakref.ref(host)

    def call(method: Callable[[ProbeHost], None]) -> Callable[[], None]:
        def hook() -> None:
            living = reference()
            if living is not None:
                method(living)

        return hook

    os.register_at_fork(
        before=call(ProbeHost._quiesce),
        after_in_parent=call(ProbeHost._resume),
        after_in_child=call(ProbeHost._restart_in_child),
    )
