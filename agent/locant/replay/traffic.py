"""Which threads are inside the model now, and for how long nobody was."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from threading import get_ident
from types import FrameType


@dataclass(slots=True)
class _Visit:
    frame: FrameType
    began: float
    depth: int = 0


class Traffic:
    """Kept without a lock: each thread writes its own entry. A pass that was torn off is told by its dead frame.

    `clock` is monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._inside: dict[int, _Visit] = {}
        self._left = clock()

    def enter(self, frame: FrameType) -> bool:
        """A pass begins on this thread in `frame`; False for one inside another."""
        visit = self._inside.get(get_ident())
        if visit is not None and _alive(visit.frame, sys._getframe()):
            visit.depth += 1
            return False
        self._inside[get_ident()] = _Visit(frame, self._clock())
        return True

    def leave(self) -> float | None:
        """The pass ends: seconds it took; None for one inside another."""
        visit = self._inside.get(get_ident())
        if visit is None:
            return None
        if visit.depth:
            visit.depth -= 1
            return None
        self._left = self._clock()
        del self._inside[get_ident()]
        return self._left - visit.began

    @property
    def busy(self) -> bool:
        """Whether any thread is in a pass."""
        visits = dict(self._inside)
        if not visits:
            return False
        running = sys._current_frames()
        for thread, visit in visits.items():
            if _alive(visit.frame, running.get(thread)):
                return True
            self._inside.pop(thread, None)
        return False

    @property
    def idle_seconds(self) -> float:
        """Since the last pass ended; 0 while one is under way."""
        return 0.0 if self.busy else self._clock() - self._left


def _alive(frame: FrameType, top: FrameType | None) -> bool:
    while top is not None:
        if top is frame:
            return True
        top = top.f_back
    return False
