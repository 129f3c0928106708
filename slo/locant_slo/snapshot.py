"""An immutable view of everything the agent knows at one instant. Exporters read it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from locant_slo.catalogue import Metric
from locant_slo.findings import Finding


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One event behind a number: `value`, Unix `timestamp` in seconds, and the trace it belongs to (hex, may be "")."""

    value: float
    timestamp: float
    trace_id: str = ""
    span_id: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One counter, gauge or info value. `labels` are values in the order of `Metric.labels`."""

    labels: tuple[str, ...]
    value: float
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True)
class HistogramSample:
    """One histogram. `counts` are per bucket, not cumulative, one longer than `Metric.buckets` (last: +Inf)."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    sum: float
    exemplars: tuple[Exemplar | None, ...] = ()

    @property
    def count(self) -> int:
        """All observations."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one metric: `Sample`s, or `HistogramSample`s when the metric is a histogram."""

    metric: Metric
    samples: tuple[Sample, ...] | tuple[HistogramSample, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state at `taken_at`; counters have run since `started_at` (both Unix seconds)."""

    taken_at: float
    started_at: float
    families: tuple[Family, ...]
    findings: tuple[Finding, ...] = ()
