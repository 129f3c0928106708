"""What an agent keeps across restarts, as plain values: statistics of releases and findings. Counters begin anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

from locant_slo.findings import Finding

PARTS = ("lengths", "canary", "loss", "entropy", "costs")
"""What of a release's statistics a reference keeps."""


@dataclass(frozen=True, slots=True)
class SavedDrift:
    """A drift window: counts per slot, oldest first, the slot that runs, its end in Unix seconds, and all counts."""

    window_seconds: float
    slot_ends: float
    slots: tuple[tuple[int, ...], ...]
    current: tuple[int, ...]
    all_counts: tuple[int, ...]
    all_tokens: int


@dataclass(frozen=True, slots=True)
class SavedLayer:
    """Entropy of one layer: nats summed per head, since attach and since the last judgement, with the rows behind."""

    totals: tuple[float, ...]
    rows: int
    window: tuple[float, ...]
    window_rows: int
    changed: int | None = None


@dataclass(frozen=True, slots=True)
class SavedCanary:
    """Answers by case, paired cases with their flips (was right, is right, how many), and loss by position bucket."""

    latest: dict[str, bool]
    baseline: str | None
    paired: tuple[str, ...]
    flips: tuple[tuple[bool, bool, int], ...]
    loss: dict[str, tuple[float, int]]
    last_run: float | None = None


@dataclass(frozen=True, slots=True)
class SavedCosts:
    """Seconds that a pass of each kind took on `machine` (phase, rows, steps of tokens and of cache length; then the
    seconds), and bytes per token and sequence that caches grew by."""

    machine: str = ""
    seconds: tuple[tuple[str, int, int, int, float], ...] = ()
    cache_bytes_per_token: float | None = None

    def on(self, machine: str) -> SavedCosts:
        """What of it holds there: times say nothing on another kind of machine, bytes do."""
        return self if machine and machine == self.machine else replace(self, machine=machine, seconds=())


@dataclass(frozen=True, slots=True)
class SavedRelease:
    """One release of one model; `time` is when it was last under watch, `since` when counting began, Unix seconds."""

    model: str
    version: str
    time: float
    drift: SavedDrift
    canary: SavedCanary
    entropy: dict[int, SavedLayer]
    since: float | None = None
    costs: SavedCosts | None = None


@dataclass(frozen=True, slots=True)
class SavedState:
    """Everything."""

    releases: tuple[SavedRelease, ...] = ()
    findings: tuple[Finding, ...] = ()
