"""The store: one writer, typed by the catalogue, bounded. What it refuses, it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import isfinite

from locant.sidecar.store.findings import FindingLog
from locant.sidecar.store.series import Buckets, Scalar, legal_labels, width
from locant.sidecar.store.update import Batch, Operation, Update
from locant_slo.catalogue import ALL, Kind, Metric, Tier, metrics
from locant_slo.catalogue.labels import MODEL, MODEL_VERSION, REASON
from locant_slo.findings import Finding
from locant_slo.snapshot import Exemplar, Family, Snapshot

Labels = tuple[str, ...]
_DEBUG_SHARE = 0.75
"""How much of the cap the debug tier may fill: a heat map must never crowd out an indicator."""

_REMEMBERED = 10_000
"""How many refused series are known by name, so that each counts once; beyond that every refusal counts. As many
batches are remembered."""


class Store:
    """Series and findings of one agent. Not thread-safe: its owner holds the lock.

    `series_limit` counts series as a scraper does, so a histogram weighs its buckets and three more. A new series
    beyond the cap is refused and counted; those that exist go on. Nothing here raises on bad data.
    """

    def __init__(self, *, started_at: float, series_limit: int = 2000, findings: FindingLog | None = None) -> None:
        self._started_at = started_at
        self._limit = series_limit
        self._series: dict[str, dict[Labels, Scalar | Buckets]] = {metric.name: {} for metric in ALL}
        self._width = 0
        self._batches: dict[Batch, tuple[tuple[Scalar, float], ...]] = {}
        self._refused: set[tuple[str, Labels]] = set()
        self._findings = findings if findings is not None else FindingLog()
        for metric, labels in ((metrics.SERIES, ()), (metrics.SERIES_REFUSED, ()), *_drop_series()):
            self._create(metric, labels)

    def limit(self, *, series: int, findings: int) -> None:
        """Change the caps. What is there already stays, also when it is more than the new caps allow."""
        self._limit = series
        self._findings.capacity = findings

    def add(self, metric: Metric, labels: Labels, amount: float = 1, exemplar: Exemplar | None = None) -> None:
        """Raise a counter. An amount of 0 brings it into being; a negative one is refused."""
        series = self._find(metric, labels, amount, metric.kind is Kind.COUNTER and amount >= 0)
        if isinstance(series, Scalar):
            series.value += amount
            series.exemplar = exemplar or series.exemplar

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """Set a gauge or an info metric."""
        series = self._find(metric, labels, value, metric.kind in (Kind.GAUGE, Kind.INFO))
        if isinstance(series, Scalar):
            series.value = value

    def observe(
        self, metric: Metric, labels: Labels, value: float, count: int = 1, exemplar: Exemplar | None = None
    ) -> None:
        """Count a value into a histogram, `count` times; negative values and counts are refused."""
        series = self._find(metric, labels, value, metric.kind is Kind.HISTOGRAM and value >= 0 and count >= 0)
        if isinstance(series, Buckets):
            series.observe(value, count, exemplar)

    def replace_histogram(self, metric: Metric, labels: Labels, counts: tuple[int, ...], total: float) -> None:
        """Set a histogram as a whole, as a pinned reference needs it. Refused when the buckets do not fit."""
        fits = metric.kind is Kind.HISTOGRAM and len(counts) == len(metric.buckets) + 1 and min(counts) >= 0
        series = self._find(metric, labels, total, fits)
        if isinstance(series, Buckets):
            series.counts, series.total = list(counts), total

    def apply(self, updates: Iterable[Update | Batch]) -> None:
        """Carry out updates in order."""
        for update in updates:
            if isinstance(update, Batch):
                self._repeat(update)
                continue
            operation, metric, labels, value, count, exemplar = update
            if operation is Operation.OBSERVE:
                self.observe(metric, labels, value, count, exemplar)
            elif operation is Operation.ADD:
                self.add(metric, labels, value, exemplar)
            else:
                self.set(metric, labels, value)

    def _repeat(self, batch: Batch) -> None:
        """Carry out a batch; from the second time on without looking its series up."""
        known = self._batches.get(batch)
        if known is not None:
            for series, amount in known:
                series.value += amount
            return
        self.apply(batch.updates)
        counters = [(self._series[one.metric.name].get(one.labels), one.value) for one in batch.updates]
        found = [(series, amount) for series, amount in counters if isinstance(series, Scalar)]
        if len(found) == len(counters):  # else some are refused, which has to be counted each time
            self._batches[batch] = tuple(found)
            if len(self._batches) > _REMEMBERED:
                del self._batches[next(iter(self._batches))]

    def merge(self, finding: Finding) -> None:
        """Take in a finding and count its occurrences."""
        self._findings.merge(finding)
        mode, severity = finding.failure_mode.value, finding.severity.value
        labels = (mode, severity, finding.check, finding.model, finding.model_version)
        self.add(metrics.FINDINGS, labels, finding.count)

    def recall(self, finding: Finding) -> None:
        """Take in a finding of the agent's last process without counting it again."""
        self._findings.merge(finding)

    def findings(self) -> tuple[Finding, ...]:
        """All findings, worst first."""
        return self._findings.worst_first()

    def drop(self, reason: str, amount: float = 1) -> None:
        """Count observations (or parts of them) that were lost."""
        self.add(metrics.OBSERVATIONS_DROPPED, (reason if reason in REASON.values else "invalid",), amount)

    def forget(self, metric: Metric, matches: Callable[[Labels], bool]) -> None:
        """Remove the series of a metric whose label values match."""
        self._batches.clear()
        table = self._series[metric.name]
        for labels in [labels for labels in table if matches(labels)]:
            del table[labels]
            self._width -= width(metric)

    def forget_model(self, model: str, version: str) -> None:
        """Remove every series of one release of a model."""
        for metric in ALL:
            if MODEL in metric.labels and MODEL_VERSION in metric.labels:
                at = (metric.labels.index(MODEL), metric.labels.index(MODEL_VERSION))
                self.forget(metric, _at(at, (model, version)))

    def snapshot(self, now: float) -> Snapshot:
        """Everything as it stands at `now`, frozen, in the catalogue's order. Metrics without series are left out."""
        self.set(metrics.SERIES, (), self._width)
        families = (self._family(metric) for metric in ALL if self._series[metric.name])
        return Snapshot(now, self._started_at, tuple(families), self.findings())

    def _family(self, metric: Metric) -> Family:
        samples = tuple(series.sample(labels) for labels, series in self._series[metric.name].items())
        return Family(metric, samples)  # type: ignore[arg-type]

    def _find(self, metric: Metric, labels: Labels, value: float, legal: bool) -> Scalar | Buckets | None:
        """The series to write to; None, and counted, when the value, the labels or the cap forbid it."""
        if not (legal and isfinite(value)):
            self.drop("invalid")
            return None
        known = self._series[metric.name].get(labels)
        return known if known is not None else self._admit(metric, labels)

    def _admit(self, metric: Metric, labels: Labels) -> Scalar | Buckets | None:
        if not legal_labels(metric, labels):
            self.drop("invalid")
            return None
        limit = self._limit * _DEBUG_SHARE if metric.tier is Tier.DEBUG else self._limit
        if self._width + width(metric) > limit:
            self._refuse(metric, labels)
            return None
        return self._create(metric, labels)

    def _refuse(self, metric: Metric, labels: Labels) -> None:
        """Count a refused series once for as long as there is room to remember it, and each lost update."""
        self.drop("series_limit")
        if (metric.name, labels) not in self._refused:
            self.add(metrics.SERIES_REFUSED, (), width(metric))
            if len(self._refused) < _REMEMBERED:
                self._refused.add((metric.name, labels))

    def _create(self, metric: Metric, labels: Labels) -> Scalar | Buckets:
        series = Buckets(metric.buckets) if metric.kind is Kind.HISTOGRAM else Scalar()
        self._series[metric.name][labels] = series
        self._width += width(metric)
        return series


def _at(indices: tuple[int, int], values: Labels) -> Callable[[Labels], bool]:
    return lambda labels: (labels[indices[0]], labels[indices[1]]) == values


def _drop_series() -> tuple[tuple[Metric, Labels], ...]:
    """The store's own counters: they exist from the start, whatever the cap."""
    return tuple((metrics.OBSERVATIONS_DROPPED, (reason,)) for reason in REASON.values)
