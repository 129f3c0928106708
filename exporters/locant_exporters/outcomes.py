"""How many exports ended how: what the agent's own telemetry says of its exporters."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Exports since the start: `ok` and `error` are the values of the catalogue's `outcome` label; the time of both."""

    ok: int = 0
    error: int = 0
    seconds: float = field(default=0.0, compare=False)


class Tally:
    """Counts outcomes from any number of threads."""

    def __init__(self) -> None:
        self._outcomes = Outcomes()
        self._lock = threading.Lock()

    @property
    def outcomes(self) -> Outcomes:
        """The counts as they stand."""
        return self._outcomes

    def note(self, *, ok: bool, seconds: float) -> None:
        """One more export ended, and took so long."""
        with self._lock:
            counts = self._outcomes
            self._outcomes = Outcomes(counts.ok + ok, counts.error + (not ok), counts.seconds + max(seconds, 0.0))
