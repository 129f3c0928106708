"""Snapshots handed on at an interval, by a thread of its own: what is handed to may be slow, or gone."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from locant_exporters.outcomes import Outcomes, Tally
from locant_slo.errors import ConfigError
from locant_slo.snapshot import Snapshot

_LOG = logging.getLogger(__name__)


Export = Callable[[Snapshot], object]
"""Sends the numbers of one snapshot somewhere."""


class Push:
    """Hands `snapshot()` to what `begin` gives, every `interval_seconds` and once more at the end.

    `begin` is called on the thread as well, when it starts and until it succeeds. An export that fails is counted and
    the next one tried; nothing is queued. Raises ConfigError when the interval is none.
    """

    def __init__(
        self,
        name: str,
        snapshot: Callable[[], Snapshot],
        begin: Callable[[], Export],
        interval_seconds: float,
    ) -> None:
        if not interval_seconds > 0:
            raise ConfigError(f"{name}: interval {interval_seconds} is not above 0; write seconds, as in 30")
        self._snapshot = snapshot
        self._begin = begin
        self._export: Export | None = None
        self._interval_seconds = interval_seconds
        self._tally = Tally()
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"locant-{name}", daemon=True)

    @property
    def outcomes(self) -> Outcomes:
        """Exports so far."""
        return self._tally.outcomes

    def start(self) -> Push:
        """Begin; the first export comes after one interval."""
        self._thread.start()
        return self

    def close(self, deadline_seconds: float = 5.0) -> bool:
        """Hand on the last numbers and stop; False when not in time. May be called twice, or before the start."""
        self._stop.set()
        if self._thread.ident is None:
            return True
        self._thread.join(deadline_seconds)
        return not self._thread.is_alive()

    def once(self) -> None:
        """Export now. The log has the first failure of a row of them."""
        began = time.monotonic()
        try:
            self._opened()(self._snapshot())
        except Exception:
            self._tally.note(ok=False, seconds=time.monotonic() - began)
            if not self._failing:
                _LOG.warning("%s: handing on a snapshot failed; going on", self._thread.name, exc_info=True)
            self._failing = True
        else:
            self._tally.note(ok=True, seconds=time.monotonic() - began)
            self._failing = False

    def _opened(self) -> Export:
        if self._export is None:
            self._export = self._begin()
        return self._export

    def _run(self) -> None:
        with contextlib.suppress(Exception):  # it comes again with the first export, and is counted there
            self._opened()
        stopping = False
        while not stopping:
            stopping = self._stop.wait(self._interval_seconds)
            self.once()
