"""How much time replay may take: a share of what the live traffic takes."""

from __future__ import annotations


class Budget:
    """A token bucket of seconds. Live passes fill it at `share`, replays empty it; it holds `burst_seconds` at most.

    `earn` is for the model's threads, the rest for one thread: no lock. Two passes that end at once may count as one,
    which only makes replay rarer.
    """

    def __init__(self, share: float, burst_seconds: float) -> None:
        self._share = share
        self._burst_seconds = burst_seconds
        self._earned_seconds = 0.0
        self._gone_seconds = 0.0

    def earn(self, forward_seconds: float) -> None:
        """A live pass took this long."""
        self._earned_seconds += forward_seconds * self._share

    @property
    def seconds(self) -> float:
        """What may be spent now; below zero after a replay that took longer than was thought."""
        saved = self._earned_seconds - self._gone_seconds
        if saved > self._burst_seconds:
            self._gone_seconds += saved - self._burst_seconds
        return min(saved, self._burst_seconds)

    def affords(self, seconds: float) -> bool:
        """Whether a replay of about this length may start. One longer than the burst waits for a full bucket."""
        return self.seconds >= min(seconds, self._burst_seconds)

    def spend(self, seconds: float) -> None:
        """A replay took this long."""
        self._gone_seconds += seconds
