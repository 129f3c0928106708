"""Snapshots handed on at an interval, as a chore of the background thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from locant_exporters.outcomes import Outcomes, Tally
from locant_slo.snapshot import Snapshot

_LOG = logging.getLogger(__name__)


class Push:
    """Hands `snapshot()` to `export` every `interval_seconds`. One that fails is counted, and the next one tried."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        export: Callable[[Snapshot], object],
        interval_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshot = snapshot
        self._export = export
        self._interval_seconds = interval_seconds
        self._monotonic = monotonic
        self._next = monotonic()
        self._tally = Tally()
        self._failing = False

    @property
    def outcomes(self) -> Outcomes:
        """Exports so far."""
        return self._tally.outcomes

    def __call__(self) -> None:
        """Export, if it is time. The log has the first failure of a row of them."""
        if self._monotonic() < self._next:
            return
        began = self._monotonic()
        self._next = began + self._interval_seconds
        try:
            self._export(self._snapshot())
        except Exception:
            self._tally.note(ok=False, seconds=self._monotonic() - began)
            if not self._failing:
                _LOG.warning("handing on a snapshot failed; going on", exc_info=True)
            self._failing = True
        else:
            self._tally.note(ok=True, seconds=self._monotonic() - began)
            self._failing = False
