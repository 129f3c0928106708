"""Passes on their way from the model's threads to the agent's: left by the ones, handed over by the other."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from locant.observation import Observation
from locant.probe.capture import Shared, UnitCapture
from locant.probe.facts import attention_facts, forward_facts
from locant.probe.finished import Finished, finish
from locant.probe.graphs import beside_captures
from locant.probe.options import ProbeOptions
from locant.probe.passes import Pass

_WAITING = 1024


class Arrivals:
    """`leave` is called at the end of each pass and only appends to `waiting`; `collect` makes observations of it.

    What finds no room is `dropped`, and counted. `peak_bytes` of device memory is reported with each pass. Passes are
    numbered as they are handed over, so that a gap means some that were dropped, however many threads run the model.
    """

    def __init__(
        self,
        model_id: int,
        options: ProbeOptions,
        shared: Shared,
        offer: Callable[[Observation], None],
        clock: Callable[[], float],
    ) -> None:
        self.waiting: deque[Finished] = deque()
        self.dropped: Counter[str] = Counter()
        self.peak_bytes = 0
        self._number = self._numbered_drops = 0
        self._model_id = model_id
        self._options = options
        self._shared = shared
        self._offer = offer
        self._clock = clock

    def leave(self, capture: UnitCapture, state: Pass, output: Any) -> None:
        """Take a pass that is over, on the model's thread."""
        done, clock = None, state.clock
        if len(self.waiting) >= _WAITING:
            self.dropped["queue_full"] += 1
            state.forget_device()
            state.let_go()
        else:
            if clock is not None and (state.looks or capture.closing_times.wants(state.kind)):
                clock.between()
            done = finish(capture, state, output, self._shared.book, self._clock())
        state.closed = self._shared.timer()
        if done is None or clock is None:
            capture.looks.account(state)
        if done is not None:
            done.dropped_before = self.dropped["queue_full"]
            self.waiting.append(done)

    def collect(self) -> None:
        """Hand over, in their order, the passes that the device has finished. Never waits."""
        if not self.waiting:
            return
        with beside_captures():
            while self.waiting and _arrived(self.waiting[0]):
                self._hand_over(self.waiting.popleft())

    def forget(self) -> None:
        """Drop what waits and was dropped."""
        self.waiting.clear()
        self.dropped.clear()
        self._numbered_drops = 0

    def _hand_over(self, done: Finished) -> None:
        drops = max(done.dropped_before, self._numbered_drops)
        self._number += 1 + drops - self._numbered_drops
        done.number, self._numbered_drops = self._number, drops
        clear_ids, state = self._options.request_ids_in_clear, done.state
        on_device = state.clock is not None
        try:
            arrived = done.arrive()
            if state.clock is not None:
                done.capture.closing_times.read(state.clock, state.kind)
            self._offer(
                forward_facts(done, arrived, model_id=self._model_id, peak_bytes=self.peak_bytes, clear_ids=clear_ids)
            )
            for layer in attention_facts(done, arrived, model_id=self._model_id, heads=self._options.attention_heads):
                self._offer(layer)
        except Exception as error:
            self._shared.guard.failed("positions", error)
            done.lost = True
            state.forget_device()
            self._offer(forward_facts(done, {}, model_id=self._model_id, peak_bytes=0, clear_ids=clear_ids))
        if on_device:
            done.capture.looks.account(state)


def _arrived(done: Finished) -> bool:
    """A device that failed answers no question: its pass goes on with what the host knew."""
    try:
        return done.ready
    except RuntimeError:
        return True
