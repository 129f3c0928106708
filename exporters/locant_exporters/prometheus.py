"""A snapshot as Prometheus families: one custom collector, built fresh for every scrape.

There are no `_created` samples. OpenMetrics allows them per series, which would double the counters, and Prometheus
stores them as series of their own; all our counters start together, at the agent's start, and rate() finds that reset
by the fall in value. Over OTLP, where it costs nothing, every point carries its start time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric as PrometheusFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PrometheusExemplar

from locant_exporters.label_values import label_set
from locant_slo.catalogue import Kind, Metric
from locant_slo.snapshot import Exemplar, Family, HistogramSample, Sample, Snapshot

_BASE_UNITS = {"s": "seconds", "By": "bytes", "1": "ratio"}
_HEX = re.compile(r"[0-9a-f]{1,32}")


class SnapshotCollector(Collector):
    """Collects whatever `snapshot` returns: one call per scrape. `names` (families or samples) narrows the answer."""

    def __init__(self, snapshot: Callable[[], Snapshot], *, names: frozenset[str] = frozenset()) -> None:
        self._snapshot = snapshot
        self._names = names

    def describe(self) -> tuple[PrometheusFamily, ...]:
        """Nothing: a registry that describes its collectors must not take a snapshot for it."""
        return ()

    def collect(self) -> Iterator[PrometheusFamily]:
        """Families by name, samples by label values: the same snapshot always gives the same text."""
        for family in sorted(self._snapshot().families, key=lambda item: item.metric.prometheus_name):
            if not self._names or self._names & spelled_names(family.metric):
                yield _prometheus_family(family)


def spelled_names(metric: Metric) -> set[str]:
    """Every name under which a metric can be asked for: its family's and its samples'."""
    name = metric.prometheus_name
    suffixes = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ()
    return {_family_name(metric), name, *(name + suffix for suffix in suffixes)}


def unit_word(metric: Metric) -> str:
    """The unit as OpenMetrics wants it: a word that the family's name ends in, or nothing."""
    last = metric.name.rpartition(".")[2]
    annotation = metric.unit.strip("{}")
    candidates = {_BASE_UNITS.get(metric.unit, annotation), f"{annotation}s", f"{annotation}es"}
    return last if metric.kind is not Kind.INFO and last in candidates else ""


def _family_name(metric: Metric) -> str:
    return metric.prometheus_name.removesuffix("_total").removesuffix("_info")


def _prometheus_family(family: Family) -> PrometheusFamily:
    metric = family.metric
    result = PrometheusFamily(_family_name(metric), metric.help, metric.kind.value, unit_word(metric))
    samples: Sequence[Sample | HistogramSample] = family.samples
    for sample in sorted(samples, key=lambda item: item.labels):
        labels = label_set(metric, sample.labels)
        if isinstance(sample, HistogramSample):
            _add_histogram(result, metric, sample, labels)
        else:
            _add_value(result, metric, sample, labels)
    return result


def _add_value(result: PrometheusFamily, metric: Metric, sample: Sample, labels: dict[str, str]) -> None:
    exemplar = _exemplar(sample.exemplar) if metric.kind is Kind.COUNTER else None  # gauges may carry none
    result.add_sample(metric.prometheus_name, labels, sample.value, exemplar=exemplar)


def _add_histogram(result: PrometheusFamily, metric: Metric, sample: HistogramSample, labels: dict[str, str]) -> None:
    exemplars = sample.exemplars or (None,) * len(sample.counts)
    cumulative = 0
    for bound, count, exemplar in zip((*metric.buckets, math.inf), sample.counts, exemplars, strict=True):
        cumulative += count
        bucket = {**labels, "le": "+Inf" if math.isinf(bound) else str(bound)}
        result.add_sample(f"{result.name}_bucket", bucket, cumulative, exemplar=_exemplar(exemplar))
    result.add_sample(f"{result.name}_sum", labels, sample.sum)
    result.add_sample(f"{result.name}_count", labels, cumulative)


def _exemplar(exemplar: Exemplar | None) -> PrometheusExemplar | None:
    """Ids that are not hexadecimal stay out: OpenMetrics allows 128 characters, and one more fails the scrape."""
    if exemplar is None or not (math.isfinite(exemplar.value) and math.isfinite(exemplar.timestamp)):
        return None
    ids = {"trace_id": exemplar.trace_id, "span_id": exemplar.span_id}
    labels = {name: value for name, value in ids.items() if _HEX.fullmatch(value)}
    return PrometheusExemplar(labels, exemplar.value, exemplar.timestamp)
