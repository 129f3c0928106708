"""Time per pass beside what passes of the same kind took before, by medians of blocks.

Passes are compared within their kind: phase, batch, tokens and cache length to a quarter of an octave, so that a longer
prompt mix changes nothing. A median of 31 passes is not moved by spikes; what stays slow for ten minutes is no spike.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from statistics import median

from locant.observation import ABSENT, ForwardFacts

BLOCK = 31
COLD_PASSES = 64
"""The first passes of a model, and the first eight of a kind, pay for compilation, allocation and caches."""
COLD_OF_KIND = 8
REFERENCE_BLOCKS = 4
STEADY = 1.25
"""Blocks of a reference lie this close to each other; until they do there is not enough to compare with."""
FACTOR = 1.5
JUDGED_BLOCKS = 24
SLOW_BLOCKS = 22
LEAST_SECONDS = 600.0
"""What a reference and a judgement span at least: their blocks are spread over it, however busy the model is."""
_KINDS = 256
_STEPS_PER_OCTAVE = 4


@dataclass(frozen=True, slots=True)
class Slowdown:
    """`ratio`: median over the judged blocks of how many times longer a pass takes than in its kind's reference."""

    ratio: float
    blocks: int
    span_seconds: float
    phase: str


@dataclass(slots=True)
class _Kind:
    passes: int = 0
    block: list[float] = field(default_factory=list)
    reference: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=REFERENCE_BLOCKS))
    usual: float | None = None


class LatencyWatch:
    """Follows the times of one model's passes. The reference of a kind is its first four blocks that agree, over ten
    minutes at least; it stays, so that a slow drift shows as well as a step."""

    def __init__(self) -> None:
        self._passes = 0
        self._kinds: dict[Hashable, _Kind] = {}
        self._judged: deque[tuple[float, float]] = deque(maxlen=JUDGED_BLOCKS)

    def take(self, facts: ForwardFacts) -> Slowdown | None:
        """A slowdown, when nearly all of the last 24 blocks, over ten minutes at least, are half as slow again."""
        self._passes += 1
        if self._passes <= COLD_PASSES or facts.error or not facts.duration_seconds > 0 or not facts.rows:
            return None
        kind = self._kind(facts)
        kind.passes += 1
        if kind.passes <= COLD_OF_KIND:
            return None
        kind.block.append(facts.duration_seconds)
        return self._close(kind, facts) if len(kind.block) >= BLOCK else None

    def _close(self, kind: _Kind, facts: ForwardFacts) -> Slowdown | None:
        middle = median(kind.block)
        kind.block.clear()
        if kind.usual is None:
            _learn(kind, facts.time, middle)
            return None
        if self._judged and facts.time - self._judged[-1][0] < LEAST_SECONDS / (JUDGED_BLOCKS - 1):
            return None
        self._judged.append((facts.time, middle / kind.usual))
        slow = sum(ratio > FACTOR for _, ratio in self._judged)
        span = facts.time - self._judged[0][0]
        if slow < SLOW_BLOCKS or len(self._judged) < JUDGED_BLOCKS:
            return None
        ratio = median(ratio for _, ratio in self._judged)
        self._judged.clear()
        return Slowdown(ratio, JUDGED_BLOCKS, span, facts.phase)

    def _kind(self, facts: ForwardFacts) -> _Kind:
        cached = facts.rows[0].cache_tokens
        key = (facts.phase, len(facts.rows), _step(facts.queries), _step(0 if cached == ABSENT else cached))
        kind = self._kinds.pop(key, None) or _Kind()
        self._kinds[key] = kind
        if len(self._kinds) > _KINDS:
            del self._kinds[next(iter(self._kinds))]
        return kind


def _learn(kind: _Kind, time: float, middle: float) -> None:
    """One more block of a reference, minutes after the one before; it is settled when the last four agree."""
    if kind.reference and time - kind.reference[-1][0] < LEAST_SECONDS / (REFERENCE_BLOCKS - 1):
        return
    kind.reference.append((time, middle))
    middles = [found for _, found in kind.reference]
    if len(middles) == REFERENCE_BLOCKS and max(middles) <= STEADY * min(middles):
        kind.usual = median(middles)


def _step(tokens: int) -> int:
    return round(_STEPS_PER_OCTAVE * math.log2(tokens)) if tokens > 0 else -1
