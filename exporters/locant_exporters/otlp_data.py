"""A snapshot as OpenTelemetry metrics data, built by hand from the SDK's public classes.

There is no second bookkeeping in SDK instruments: one store, two views. That also avoids the SDK's limit of 2,000
attribute sets an instrument, beyond which it folds series together without a word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opentelemetry.sdk.metrics import Exemplar as OtelExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as OtelMetric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from locant_exporters.label_values import label_set
from locant_slo.catalogue import Kind
from locant_slo.snapshot import Exemplar, Family, HistogramSample, Sample, Snapshot

SCOPE = "locant"
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class _Span:
    """From when to when the numbers count, in Unix nanoseconds."""

    start: int
    end: int


def metrics_data(snapshot: Snapshot, resource: Mapping[str, str]) -> MetricsData:
    """All families of `snapshot` under one resource: cumulative, counting from `snapshot.started_at`.

    A metric keeps its dotted name and UCUM unit; a backend that follows OpenTelemetry's rules for Prometheus names
    turns them into `Metric.prometheus_name`.
    """
    span = _Span(_nanoseconds(snapshot.started_at), _nanoseconds(snapshot.taken_at))
    metrics = [_metric(family, span) for family in snapshot.families if family.samples]
    scope = ScopeMetrics(InstrumentationScope(SCOPE), metrics, schema_url="")
    return MetricsData([ResourceMetrics(Resource(dict(resource)), [scope], schema_url="")])


def _metric(family: Family, span: _Span) -> OtelMetric:
    kind = family.metric.kind
    points = [_point(family, sample, span) for sample in family.samples]
    numbers = [point for point in points if isinstance(point, NumberDataPoint)]
    histograms = [point for point in points if isinstance(point, HistogramDataPoint)]
    data: Sum | Gauge | Histogram
    if kind is Kind.HISTOGRAM:
        data = Histogram(histograms, _CUMULATIVE)
    elif kind is Kind.COUNTER:
        data = Sum(numbers, _CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(numbers)
    return OtelMetric(family.metric.name, family.metric.help, family.metric.unit, data)


def _point(family: Family, sample: Sample | HistogramSample, span: _Span) -> NumberDataPoint | HistogramDataPoint:
    attributes = label_set(family.metric, sample.labels)
    if isinstance(sample, Sample):
        exemplars = _exemplars([sample.exemplar] if family.metric.kind is Kind.COUNTER else [])
        return NumberDataPoint(attributes, span.start, span.end, float(sample.value), exemplars)
    return HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=span.start,
        time_unix_nano=span.end,
        count=sample.count,
        sum=float(sample.sum),
        bucket_counts=sample.counts,
        explicit_bounds=family.metric.buckets,
        min=None,  # type: ignore[arg-type]  # optional on the wire, and unknown here; the class does not say so
        max=None,  # type: ignore[arg-type]
        exemplars=_exemplars(sample.exemplars),
    )


def _exemplars(exemplars: Iterable[Exemplar | None]) -> list[OtelExemplar]:
    return [_exemplar(item) for item in exemplars if item is not None and math.isfinite(item.timestamp)]


def _exemplar(exemplar: Exemplar) -> OtelExemplar:
    traced = _TRACE_ID.fullmatch(exemplar.trace_id) and _SPAN_ID.fullmatch(exemplar.span_id)
    return OtelExemplar(
        filtered_attributes={},
        value=float(exemplar.value),
        time_unix_nano=_nanoseconds(exemplar.timestamp),
        span_id=int(exemplar.span_id, 16) if traced else None,
        trace_id=int(exemplar.trace_id, 16) if traced else None,
    )


def _nanoseconds(seconds: float) -> int:
    """Whole microseconds: a double holds no more of today's Unix time."""
    return max(0, round(seconds * 1_000_000)) * 1_000
