"""What the agent asked to see of one model: the next pass of a phase, looked at whole. Once a minute at most."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from locant.wire.request import PHASES

PAUSE_SECONDS = 60.0
"""Between two requests that are honoured, and how long one waits for its pass."""


@dataclass(slots=True)
class Wish:
    """An open request. `tried`: a pass was looked at for it, though not whole."""

    phase: str
    until: float
    tried: bool = False


class Wishes:
    """The agent's thread asks, the model's threads claim. `counts` says what became of every request.

    `waiting` may be read by anybody: nearly always there is nothing. `timer` gives monotonic seconds; where it is not
    `allowed`, because attention is not looked at, nothing is wished for.
    """

    def __init__(self, timer: Callable[[], float], allowed: Callable[[], bool] = lambda: True) -> None:
        self._timer = timer
        self._allowed = allowed
        self._next = -PAUSE_SECONDS
        self.counts: Counter[str] = Counter(looked=0, refused=0, expired=0)
        self.forget()

    def forget(self) -> None:
        """Start without a wish: in a fork's child it is the parent's, and so may be the lock."""
        self._lock = threading.Lock()
        self.waiting: Wish | None = None

    def ask(self, phase: str) -> bool:
        """Open a wish; False, and counted, where it is not allowed, or too soon after the last one. Never waits."""
        now = self._timer()
        with self._lock:
            if phase not in PHASES or now < self._next or not self._allowed():
                self.counts["refused"] += 1
                return False
            self.counts["expired"] += self.waiting is not None
            self._next = now + PAUSE_SECONDS
            self.waiting = Wish(phase, now + PAUSE_SECONDS)
            return True

    def refuse(self) -> None:
        """Count what the agent said that was no request."""
        with self._lock:
            self.counts["refused"] += 1

    def claim(self, phase: str) -> Wish | None:
        """Take the wish for a pass of this phase that begins; whoever does not fulfil it puts it back."""
        with self._lock:
            wish = self.waiting
            if wish is None:
                return None
            expired = self._timer() > wish.until
            self.counts["expired"] += expired
            if expired or wish.phase == phase:
                self.waiting = None
            return wish if wish.phase == phase and not expired else None

    def put_back(self, wish: Wish) -> None:
        """The pass was not looked at whole: the wish stays open, unless there is a newer one."""
        with self._lock:
            self.waiting = self.waiting or wish

    def fulfilled(self) -> None:
        """A pass is looked at whole."""
        with self._lock:
            self.counts["looked"] += 1
