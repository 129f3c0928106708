"""All that is followed of one model's costs."""

from __future__ import annotations

from dataclasses import dataclass

from locant.observation import ForwardFacts, ModelProfile
from locant.sidecar.costs.cache import CacheGrowth, CacheWatch
from locant.sidecar.costs.latency import LatencyWatch, Slowdown
from locant.sidecar.costs.pinned import PinnedCosts
from locant.sidecar.costs.positional import PositionalGrowth, PositionalWatch
from locant.sidecar.saved import SavedCosts


@dataclass(frozen=True, slots=True)
class Costs:
    """What a pass showed of them; None where there is nothing to say, or not enough to say it."""

    positional: PositionalGrowth | None = None
    cache: CacheGrowth | None = None
    latency: Slowdown | None = None


_NOTHING = (None, None, None)


class CostWatch:
    """One model's costs so far, beginning where its release stood. Encoder and decoder of a pair hold positional memory
    of their own."""

    def __init__(self, known: SavedCosts | None = None) -> None:
        known = known or SavedCosts()
        self._pinned: PinnedCosts | None = None
        self._encoder, self._decoder = PositionalWatch(), PositionalWatch()
        self._cache = CacheWatch(known.cache_bytes_per_token)
        self._latency = LatencyWatch({one[:4]: one[4] for one in known.seconds})

    def compare(self, pinned: PinnedCosts | None) -> None:
        """Hold costs to a pinned release's from now on, None for none. The same one again changes nothing, or an agent
        that reads its configuration often would never judge."""
        pinned = pinned or PinnedCosts("", {}, None)
        if pinned == self._pinned:
            return
        self._pinned = pinned
        self._latency.compare(pinned.model_version, pinned.seconds)
        self._cache.compare(pinned.model_version, pinned.cache_bytes_per_token)

    def learned(self) -> SavedCosts:
        """What is usual here, for the next start of the agent and for a reference."""
        seconds = tuple((*kind, seconds) for kind, seconds in self._latency.learned().items())
        return SavedCosts(seconds=seconds, cache_bytes_per_token=self._cache.learned())

    def take(self, facts: ForwardFacts, profile: ModelProfile) -> Costs | None:
        """What this pass shows; None for nearly all."""
        part = self._encoder if facts.phase == "encode" else self._decoder
        found = part.take(facts), self._cache.take(facts, profile), self._latency.take(facts)
        return None if found == _NOTHING else Costs(*found)
