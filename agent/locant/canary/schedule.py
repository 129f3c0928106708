"""Runs the canary again and again in the background, within a share of the time."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable

_LOG = logging.getLogger("locant.canary")


def pause_seconds(spent_seconds: float, interval_seconds: float, share: float) -> float:
    """How long to rest after a run, so that runs start `interval_seconds` apart at the earliest and take at most
    `share` of the time: spent / (spent + pause) <= share."""
    return max(interval_seconds - spent_seconds, spent_seconds * (1 / share - 1), 0.0)


class CanarySchedule:
    """A thread that calls `run`, rests, and calls it again until `close`.

    `clock` is monotonic seconds; `wait(seconds)` rests and tells whether to stop. A run that raises is logged and
    counted in `failures`, and the schedule goes on.
    """

    def __init__(
        self,
        run: Callable[[], object],
        *,
        interval_seconds: float = 300.0,
        share: float = 0.01,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        if not 0 < share <= 1 or interval_seconds <= 0:
            raise ValueError(f"a share of {share} and an interval of {interval_seconds} s make no schedule")
        self._run = run
        self._interval_seconds = interval_seconds
        self._share = share
        self._clock = clock
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._thread: threading.Thread | None = None
        self.runs = 0
        self.failures = 0

    def start(self) -> CanarySchedule:
        """Begin with the first run."""
        atexit.register(self.close)  # a model that is being asked while the interpreter goes aborts the process
        self._thread = threading.Thread(target=self.loop, name="locant-canary", daemon=True)
        self._thread.start()
        return self

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop after the run under way. At exit this happens by itself."""
        atexit.unregister(self.close)
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def loop(self) -> None:
        """Run and rest until told to stop; `start` calls it in a thread."""
        while not self._stop.is_set():
            started = self._clock()
            self._attempt()
            if self._wait(pause_seconds(self._clock() - started, self._interval_seconds, self._share)):
                return

    def _attempt(self) -> None:
        try:
            self._run()
            self.runs += 1
        except Exception:
            self.failures += 1
            _LOG.warning("a canary run failed; the next one follows", exc_info=True)
