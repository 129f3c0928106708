"""The mutable inside of one series. Nothing of it ever leaves the store; readers get frozen samples."""

from __future__ import annotations

from dataclasses import dataclass, field

from locant_slo.catalogue import Kind, Metric
from locant_slo.snapshot import Exemplar, HistogramSample, Sample
from locant_slo.statistics import bucket_index

LONGEST_LABEL = 256


@dataclass(slots=True)
class Scalar:
    """A counter, a gauge or an info metric."""

    value: float = 0.0
    exemplar: Exemplar | None = None

    def sample(self, labels: tuple[str, ...]) -> Sample:
        """The value as it stands now."""
        return Sample(labels, self.value, self.exemplar)


@dataclass(slots=True)
class Buckets:
    """A histogram: counts per bucket, the last one above the last edge; the newest exemplar of each bucket."""

    edges: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.edges) + 1)

    def observe(self, value: float, count: int, exemplar: Exemplar | None) -> None:
        """Count `value` in, `count` times."""
        index = bucket_index(value, self.edges)
        self.counts[index] += count
        self.total += value * count
        if exemplar is not None:
            self.exemplars[index] = exemplar

    def sample(self, labels: tuple[str, ...]) -> HistogramSample:
        """The histogram as it stands now."""
        newest = tuple(self.exemplars.get(index) for index in range(len(self.counts))) if self.exemplars else ()
        return HistogramSample(labels, tuple(self.counts), self.total, newest)


def width(metric: Metric) -> int:
    """How many series a metric's one label set becomes at a scraper: buckets, +Inf, sum and count for a histogram."""
    return len(metric.buckets) + 3 if metric.kind is Kind.HISTOGRAM else 1


def legal_labels(metric: Metric, labels: tuple[str, ...]) -> bool:
    """Whether the values fit the metric: one for each label, inside the closed sets, of bounded length."""
    if len(labels) != len(metric.labels):
        return False
    return all(
        isinstance(value, str) and (value in label.values if label.values else len(value) <= LONGEST_LABEL)
        for label, value in zip(metric.labels, labels, strict=True)
    )
