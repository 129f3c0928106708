"""Positional memory, cache and time that cost more than in the same release before, or in the pinned one (F7)."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import ModelProfile
from locant.sidecar.checks.hit import Hit
from locant.sidecar.costs import CacheGrowth, Costs, PositionalGrowth, Slowdown
from locant_slo.findings import FailureMode, Severity

_MIB = 2**20


def costs_regressed(costs: Costs, profile: ModelProfile) -> Iterator[Hit]:
    """A hit for each cost that a pass showed to have risen."""
    if costs.positional is not None:
        yield _positional(costs.positional)
    if costs.cache is not None:
        yield _cache(costs.cache, profile)
    if costs.latency is not None:
        yield _latency(costs.latency)


def _positional(grown: PositionalGrowth) -> Hit:
    return _hit(
        "positional_memory_grows",
        f"Positional tensors grew {grown.growths} times, from {grown.bytes_before / _MIB:.2f} to "
        f"{grown.bytes_after / _MIB:.2f} MiB, and no request was longer, no batch larger than before "
        f"({grown.reach_tokens} tokens at most): they grow with the number of calls. Usual cause: tables or masks "
        "cached per call or per shape and never let go. Bound that cache, or size the table once.",
        {
            "growths": grown.growths,
            "bytes_before": grown.bytes_before,
            "bytes_after": grown.bytes_after,
            "longest_tokens": grown.reach_tokens,
        },
    )


def _cache(grown: CacheGrowth, profile: ModelProfile) -> Hit:
    usual = max(grown.reference, grown.expected)
    return _hit(
        "cache_grows_faster",
        f"The cache of {profile.family} grows by {grown.bytes_per_token:.0f} bytes per token and sequence, "
        f"{grown.bytes_per_token / usual:.2f} times what it grew by {_before(grown.pinned_version)} "
        f"({grown.reference:.0f}) and what its "
        f"configuration implies ({grown.expected}). Exact, counted over many calls. Usual cause: keys kept in a wider "
        "dtype, or once per query head. Compare the dtype and the heads of the cache with the configuration.",
        {
            "bytes_per_token": grown.bytes_per_token,
            "reference_bytes_per_token": grown.reference,
            "expected_bytes_per_token": grown.expected,
            **_beside(grown.pinned_version),
        },
    )


def _latency(slow: Slowdown) -> Hit:
    return _hit(
        "passes_slower",
        f"Passes take {slow.ratio:.2f} times as long as passes of the same kind (phase, batch, tokens, cache length) "
        f"did {_before(slow.pinned_version)}, for {slow.span_seconds / 60:.0f} minutes now "
        f"(median of {slow.blocks} blocks, the latest of them in {slow.phase}). This says that, not why. "
        "Usual causes: positional work repeated at every call (table, mask or bias rebuilt), a slower attention "
        "kernel, or a neighbour on the machine. Compare with the other replicas first.",
        {
            "ratio": slow.ratio,
            "blocks": slow.blocks,
            "span_seconds": slow.span_seconds,
            "phase": slow.phase,
            **_beside(slow.pinned_version),
        },
    )


def _before(pinned_version: str | None) -> str:
    """Which past a cost is compared with."""
    if pinned_version is None:
        return "in this release before"
    return f"in the pinned release {pinned_version}"


def _beside(pinned_version: str | None) -> dict[str, object]:
    return {} if pinned_version is None else {"pinned_version": pinned_version}


def _hit(check: str, message: str, evidence: dict[str, object]) -> Hit:
    return Hit(check, FailureMode.RESOURCE_REGRESSION, Severity.TICKET, message, evidence, all_rows=False)
