"""Bytes by which a cache grows for each token, beside what the configuration implies and what it grew by before."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from locant.observation import ABSENT, ForwardFacts, ModelProfile

REFERENCE = 32
"""Growths that make the model's own reference; until then nothing is said."""
IN_A_ROW = 32
FACTOR = 1.25
"""Bytes per token are exact: keys kept in twice the precision or once per query head are far beyond."""
_CACHES = 256


@dataclass(frozen=True, slots=True)
class CacheGrowth:
    """Bytes per token and sequence: now, in the reference, and by the configuration. The reference is the release's own
    past, or the pinned release of this version."""

    bytes_per_token: float
    reference: float
    expected: int
    pinned_version: str | None = None


class CacheWatch:
    """Follows caches from call to call. Caches that are allocated ahead do not grow and say nothing."""

    def __init__(self, usual: float | None = None) -> None:
        self._last: dict[int, tuple[int, int, int]] = {}
        self._reference: list[float] = [] if usual is None else [usual] * REFERENCE
        self._latest: deque[float] = deque(maxlen=IN_A_ROW)
        self._pinned: tuple[str, float] | None = None

    def compare(self, version: str, bytes_per_token: float | None) -> None:
        """Hold growths to a pinned release's from now on."""
        self._pinned = None if bytes_per_token is None else (version, bytes_per_token)

    def learned(self) -> float | None:
        """The largest growth of the model's own reference, once there is one."""
        return max(self._reference) if len(self._reference) >= REFERENCE else None

    def take(self, facts: ForwardFacts, profile: ModelProfile) -> CacheGrowth | None:
        """A growth that is too large for the thirty-second time in a row."""
        grown, expected = self._growth(facts), profile.cache_bytes_per_token
        if grown is None or not expected or profile.kind != "decoder":
            return None
        usual = self.learned()
        if usual is None:
            self._reference.append(grown)
        self._latest.append(grown)
        if len(self._latest) < IN_A_ROW:
            return None
        for version, reference in ((None, usual), self._pinned or (None, None)):
            if reference is not None and min(self._latest) > FACTOR * max(reference, expected):
                self._latest.clear()
                return CacheGrowth(grown, reference, expected, version)
        return None

    def _growth(self, facts: ForwardFacts) -> float | None:
        """Bytes per token and row since the last call on the same cache; None where it did not simply grow."""
        if not facts.cache_id or not facts.rows or facts.cache_bytes <= 0 or facts.error:
            return None
        held, rows = facts.rows[0].cache_tokens, len(facts.rows)
        before = self._last.pop(facts.cache_id, None)
        if held == ABSENT:
            return None
        self._last[facts.cache_id] = (held + facts.queries, facts.cache_bytes, rows)
        if len(self._last) > _CACHES:
            del self._last[next(iter(self._last))]
        if before is None or before[0] != held or before[2] != rows or facts.cache_bytes <= before[1]:
            return None
        return (facts.cache_bytes - before[1]) / (facts.queries * rows)
