"""Who was heard from, and when: what an agent must forget so that probes that come and go never fill its memory."""

from __future__ import annotations

from collections import OrderedDict

MOST_MODELS = 1024
"""Model ids followed at once: a process that restarts every second fills them in a quarter of an hour, and no more."""


class Attendance:
    """Model ids by the time of their last observation, in monotonic seconds: a clock that jumps forgets nobody."""

    def __init__(self, capacity: int = MOST_MODELS) -> None:
        self._capacity = capacity
        self._heard: OrderedDict[int, float] = OrderedDict()

    def __len__(self) -> int:
        """Models present."""
        return len(self._heard)

    def note(self, model_id: int, now: float) -> None:
        """Heard from just now."""
        self._heard[model_id] = now
        self._heard.move_to_end(model_id)

    def leave(self, model_id: int) -> None:
        """Said goodbye."""
        self._heard.pop(model_id, None)

    def absent(self, now: float, silent_seconds: float) -> list[int]:
        """Those silent for longer than that, and the quietest beyond the capacity; each is told once."""
        gone: list[int] = []
        while self._heard:
            model_id, heard = next(iter(self._heard.items()))
            if now - heard <= silent_seconds and len(self._heard) <= self._capacity:
                break
            del self._heard[model_id]
            gone.append(model_id)
        return gone
