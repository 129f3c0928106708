"""What a model's passes cost beside what they cost before: positional memory, cache, time."""

from locant.sidecar.costs.cache import CacheGrowth
from locant.sidecar.costs.history import CostHistory
from locant.sidecar.costs.latency import LatencyWatch, Slowdown
from locant.sidecar.costs.positional import PositionalGrowth
from locant.sidecar.costs.watch import Costs, CostWatch

__all__ = ["CacheGrowth", "CostHistory", "CostWatch", "Costs", "LatencyWatch", "PositionalGrowth", "Slowdown"]
