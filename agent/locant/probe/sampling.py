"""Which passes are looked at closely: the first ones, each new kind, and then a fixed share; no random numbers."""

from __future__ import annotations

_GOLDEN = 0.6180339887498949
"""Steps of the golden ratio spread evenly and never fall into step with periodic traffic."""


class Sampler:
    """Decides pass by pass. Kinds are powers of two of lengths, so there are few and they are remembered."""

    def __init__(self, rate: float, first: int = 3, remembered: int = 4096) -> None:
        self._rate = rate
        self._first = first
        self._remembered = remembered
        self._seen: set[tuple[object, ...]] = set()
        self._passes = 0

    def take(self, kind: tuple[object, ...]) -> bool:
        """Whether to sample a pass of this kind. A rate of zero switches sampling off altogether."""
        if self._rate <= 0:
            return False
        self._passes += 1
        if self._passes <= self._first:
            self._seen.add(kind)
            return True
        if kind not in self._seen and len(self._seen) < self._remembered:
            self._seen.add(kind)
            return True
        return (self._passes * _GOLDEN) % 1.0 < self._rate
