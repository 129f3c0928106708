"""A release's statistics as the reference that later releases are compared with."""

from __future__ import annotations

from datetime import datetime, timezone

from locant.sidecar.references import LayerEntropy, Lengths, PassTime, PinnedCost, Reference, Sum
from locant.sidecar.saved import SavedCosts, SavedDrift, SavedRelease
from locant_slo.catalogue.metrics import SEQUENCE_LENGTH

_LAST_SECONDS = 253_402_300_799
"""The end of the year 9999, beyond which no calendar here reaches."""


def reference_of(saved: SavedRelease) -> Reference:
    """What this release looked like so far. A part that was not measured is left empty."""
    return Reference(
        model_version=saved.version,
        pinned_at=_moment(saved.time),
        counted_since=_moment(saved.since),
        lengths=_lengths(saved.drift),
        canary=dict(saved.canary.latest),
        loss={bucket: Sum(total=total, count=count) for bucket, (total, count) in saved.canary.loss.items()},
        entropy={index: LayerEntropy(totals=one.totals, rows=one.rows) for index, one in saved.entropy.items()},
        costs=_costs(saved.costs),
    )


def _lengths(drift: SavedDrift) -> Lengths | None:
    """All lengths; None without any, or on the edges of another release of Locant."""
    if not any(drift.all_counts) or len(drift.all_counts) != len(SEQUENCE_LENGTH.buckets) + 1:
        return None
    return Lengths(counts=drift.all_counts, sum_tokens=drift.all_tokens)


def _costs(costs: SavedCosts | None) -> PinnedCost | None:
    if costs is None:
        return None
    passes = tuple(
        PassTime(phase=phase, rows=rows, tokens_step=tokens, cache_step=cached, seconds=seconds)
        for phase, rows, tokens, cached, seconds in costs.seconds
    )
    return PinnedCost(machine=costs.machine, passes=passes, cache_bytes_per_token=costs.cache_bytes_per_token)


def _moment(unix_seconds: float | None) -> datetime | None:
    """To the second; None for what no calendar holds, as a clock that was never set says."""
    if unix_seconds is None or not 0 < unix_seconds < _LAST_SECONDS:
        return None
    return datetime.fromtimestamp(int(unix_seconds), timezone.utc)
