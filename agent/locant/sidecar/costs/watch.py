"""All that is followed of one model's costs."""

from __future__ import annotations

from dataclasses import dataclass

from locant.observation import ForwardFacts, ModelProfile
from locant.sidecar.costs.cache import CacheGrowth, CacheWatch
from locant.sidecar.costs.latency import LatencyWatch, Slowdown
from locant.sidecar.costs.positional import PositionalGrowth, PositionalWatch


@dataclass(frozen=True, slots=True)
class Costs:
    """What a pass showed of them; None where there is nothing to say, or not enough to say it."""

    positional: PositionalGrowth | None = None
    cache: CacheGrowth | None = None
    latency: Slowdown | None = None


_NOTHING = (None, None, None)


class CostWatch:
    """One model's costs so far. Encoder and decoder of a pair hold positional memory of their own."""

    def __init__(self) -> None:
        self._encoder, self._decoder = PositionalWatch(), PositionalWatch()
        self._cache = CacheWatch()
        self._latency = LatencyWatch()

    def take(self, facts: ForwardFacts, profile: ModelProfile) -> Costs | None:
        """What this pass shows; None for nearly all."""
        part = self._encoder if facts.phase == "encode" else self._decoder
        found = part.take(facts), self._cache.take(facts, profile), self._latency.take(facts)
        return None if found == _NOTHING else Costs(*found)
