"""Indicators of one phase of the demo: the difference of two snapshots' counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from locant_slo.catalogue import Metric, metrics
from locant_slo.snapshot import Sample, Snapshot

Key = tuple[str, str]
"""(indicator, model)"""


@dataclass(frozen=True, slots=True)
class Events:
    """Valid events of an indicator and how many were bad."""

    bad: float
    total: float

    @property
    def good_ratio(self) -> float | None:
        """The SLI; None when nothing happened."""
        return 1 - self.bad / self.total if self.total else None


def counted(snapshot: Snapshot) -> dict[Key, Events]:
    """Every indicator's counters, over all releases of a model."""
    bad, total = (_by_key(snapshot, metric) for metric in (metrics.SLI_BAD_EVENTS, metrics.SLI_EVENTS))
    return {key: Events(bad.get(key, 0.0), value) for key, value in total.items()}


def between(earlier: Mapping[Key, Events], later: Mapping[Key, Events]) -> dict[Key, Events]:
    """What was counted from one snapshot to a later one."""
    nothing = Events(0.0, 0.0)
    return {
        key: Events(now.bad - earlier.get(key, nothing).bad, now.total - earlier.get(key, nothing).total)
        for key, now in later.items()
    }


def _by_key(snapshot: Snapshot, metric: Metric) -> dict[Key, float]:
    sums: dict[Key, float] = {}
    for family in snapshot.families:
        if family.metric is not metric:
            continue
        for sample in family.samples:
            if isinstance(sample, Sample):
                indicator, model, _ = sample.labels
                sums[indicator, model] = sums.get((indicator, model), 0.0) + sample.value
    return sums
