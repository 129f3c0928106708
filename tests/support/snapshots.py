"""A snapshot that has every metric of the catalogue, with awkward but legal label values."""

from __future__ import annotations

from locant_slo.catalogue import ALL, Kind, Label, Metric
from locant_slo.findings import FailureMode, Finding, Severity
from locant_slo.snapshot import Exemplar, Family, HistogramSample, Sample, Snapshot

STARTED_AT = 1_764_000_000.0
TAKEN_AT = 1_764_003_600.25
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "00f067aa0ba902b7"
AWKWARD = 'qwen "2"\\vl\n{µ=1, le="1"} 位置'


def rich_snapshot(*, started_at: float = STARTED_AT, taken_at: float = TAKEN_AT, scale: int = 1) -> Snapshot:
    """Every metric twice: once with plain labels, once with an awkward model name (where it has labels at all).

    Values are exact in binary and differ between metrics; counters grow with `scale`. Exemplars lie in their buckets.
    """
    families = tuple(_family(index, metric, taken_at, scale) for index, metric in enumerate(ALL, start=1))
    return Snapshot(taken_at, started_at, families, (_finding(started_at, taken_at),))


def _family(index: int, metric: Metric, taken_at: float, scale: int) -> Family:
    label_sets = [tuple(_label_value(label, choice) for label in metric.labels) for choice in range(2)]
    label_sets = list(dict.fromkeys(label_sets))
    if metric.kind is Kind.HISTOGRAM:
        return Family(metric, tuple(_histogram(index, metric, labels, taken_at, scale) for labels in label_sets))
    return Family(metric, tuple(_sample(index, metric, labels, taken_at, scale) for labels in label_sets))


def _label_value(label: Label, choice: int) -> str:
    if label.values:
        return label.values[choice % len(label.values)]
    return {"model": ("gpt2", AWKWARD), "layer": ("0", "11"), "head": ("3", "12")}.get(
        label.name, (f"{label.name}-a", f"{label.name}-b")
    )[choice]


def _sample(index: int, metric: Metric, labels: tuple[str, ...], taken_at: float, scale: int) -> Sample:
    if metric.kind is Kind.INFO:
        return Sample(labels, 1.0)
    if metric.kind is Kind.GAUGE:
        return Sample(labels, index / 64)
    return Sample(labels, float(index * 16 * scale), Exemplar(1.0, taken_at - 1.0, TRACE_ID, SPAN_ID))


def _histogram(index: int, metric: Metric, labels: tuple[str, ...], taken_at: float, scale: int) -> HistogramSample:
    counts = tuple((index + bucket) % 5 * scale for bucket in range(len(metric.buckets) + 1))
    inside = (*metric.buckets, metric.buckets[-1] * 2)
    exemplars = tuple(
        Exemplar(value, taken_at - 1.0, TRACE_ID, SPAN_ID) if count and bucket % 3 == 0 else None
        for bucket, (value, count) in enumerate(zip(inside, counts, strict=True))
    )
    return HistogramSample(labels, counts, float(index * scale), exemplars)


def _finding(started_at: float, taken_at: float) -> Finding:
    return Finding(
        FailureMode.PADDING_LEAKAGE,
        Severity.PAGE,
        "padding_visible",
        "Real tokens put 31 % of their attention on padding.",
        {"padding_mass": 0.31, "layer": 4},
        "gpt2",
        "r1",
        started_at,
        taken_at,
        7,
    )
