"""Which passes are wanted for a close look: the first ones, each new kind, and a fixed share; no random numbers."""

from __future__ import annotations

from collections.abc import Hashable

from locant.probe.effort import Interest

_GOLDEN = 0.6180339887498949
"""Steps of the golden ratio spread evenly and never fall into step with periodic traffic."""


class Sampler:
    """Says pass by pass. Kinds are made of powers of two, so there are few; they are remembered once looked at."""

    def __init__(self, rate: float, first: int = 3, remembered: int = 4096) -> None:
        self._rate = rate
        self._first = first
        self._remembered = remembered
        self._seen: set[Hashable] = set()
        self._passes = 0

    def ask(self, kind: Hashable, *, always: bool = False) -> Interest:
        """How much a pass of this kind is wanted. A rate of zero switches sampling off altogether."""
        if self._rate <= 0:
            return Interest.NONE
        self._passes += 1
        if self._passes <= self._first or (kind not in self._seen and len(self._seen) < self._remembered):
            return Interest.NEW
        return Interest.SHARE if always or (self._passes * _GOLDEN) % 1.0 < self._rate else Interest.NONE

    def took(self, kind: Hashable) -> None:
        """A pass of this kind was looked at: it is new no more."""
        self._seen.add(kind)
