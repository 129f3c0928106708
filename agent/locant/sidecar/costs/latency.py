"""Time per pass beside what passes of the same kind took before, by medians of blocks.

Passes are compared within their kind: phase, batch, tokens and cache length to a quarter of an octave, so that a longer
prompt mix changes nothing. A median of 31 passes is not moved by spikes; what stays slow for ten minutes is no spike.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from locant.observation import ABSENT, ForwardFacts
from locant.sidecar.costs.pinned import Kind

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
    """`ratio`: median over the judged blocks of how many times longer a pass takes than in its kind's reference, which
    is the release's own past, or the pinned release's of this version."""

    ratio: float
    blocks: int
    span_seconds: float
    phase: str
    pinned_version: str | None = None


@dataclass(slots=True)
class _Kind:
    passes: int = 0
    block: list[float] = field(default_factory=list)
    reference: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=REFERENCE_BLOCKS))
    usual: float | None = None


@dataclass(slots=True)
class _Judged:
    """The last blocks beside one reference: when, and how many times as long."""

    pinned_version: str | None = None
    ratios: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=JUDGED_BLOCKS))

    def add(self, facts: ForwardFacts, ratio: float) -> Slowdown | None:
        """One more block, minutes of them spread; a slowdown when nearly all of the last are slow."""
        if self.ratios and facts.time - self.ratios[-1][0] < LEAST_SECONDS / (JUDGED_BLOCKS - 1):
            return None
        self.ratios.append((facts.time, ratio))
        slow = sum(one > FACTOR for _, one in self.ratios)
        if slow < SLOW_BLOCKS or len(self.ratios) < JUDGED_BLOCKS:
            return None
        span, middle = facts.time - self.ratios[0][0], median(one for _, one in self.ratios)
        self.ratios.clear()
        return Slowdown(middle, JUDGED_BLOCKS, span, facts.phase, self.pinned_version)


class LatencyWatch:
    """Follows the times of one model's passes. The reference of a kind is its first four blocks that agree, over ten
    minutes at least; it stays, so that a slow drift shows as well as a step. Beside it may stand a pinned one."""

    def __init__(self, usual: Mapping[Kind, float] | None = None) -> None:
        self._passes = 0
        known = list((usual or {}).items())[-_KINDS:]
        self._kinds: dict[Kind, _Kind] = {kind: _Kind(usual=seconds) for kind, seconds in known}
        self._own = _Judged()
        self._pinned: Mapping[Kind, float] = {}
        self._beside_pinned = _Judged()

    def compare(self, version: str, pinned: Mapping[Kind, float]) -> None:
        """Hold passes to a pinned release's from now on."""
        self._pinned, self._beside_pinned = pinned, _Judged(version)

    def learned(self) -> dict[Kind, float]:
        """What a pass of each kind usually takes, for kinds that were followed long enough."""
        return {kind: one.usual for kind, one in self._kinds.items() if one.usual is not None}

    def take(self, facts: ForwardFacts) -> Slowdown | None:
        """A slowdown, when nearly all of the last 24 blocks, over ten minutes at least, are half as slow again."""
        self._passes += 1
        if self._passes <= COLD_PASSES or facts.error or not facts.duration_seconds > 0 or not facts.rows:
            return None
        key = _kind(facts)
        kind = self._followed(key)
        kind.passes += 1
        if kind.passes <= COLD_OF_KIND:
            return None
        kind.block.append(facts.duration_seconds)
        return self._close(key, kind, facts) if len(kind.block) >= BLOCK else None

    def _close(self, key: Kind, kind: _Kind, facts: ForwardFacts) -> Slowdown | None:
        """A block is full. A pass that is slower than both references is told once, beside its own past."""
        middle = median(kind.block)
        kind.block.clear()
        pinned, own = self._pinned.get(key), None
        beside_pinned = self._beside_pinned.add(facts, middle / pinned) if pinned is not None else None
        if kind.usual is None:
            _learn(kind, facts.time, middle)
        else:
            own = self._own.add(facts, middle / kind.usual)
        return own or beside_pinned

    def _followed(self, key: Kind) -> _Kind:
        kind = self._kinds.pop(key, None) or _Kind()
        self._kinds[key] = kind
        if len(self._kinds) > _KINDS:
            del self._kinds[next(iter(self._kinds))]
        return kind


def _kind(facts: ForwardFacts) -> Kind:
    cached = facts.rows[0].cache_tokens
    return (facts.phase, len(facts.rows), _step(facts.queries), _step(0 if cached == ABSENT else cached))


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
