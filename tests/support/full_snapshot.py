"""A service in full swing: every metric of the catalogue, with every value of every closed label, growing."""

from __future__ import annotations

from itertools import product

from locant_slo.catalogue import ALL, Kind, Label, Metric, metrics
from locant_slo.indicators import INDICATORS
from locant_slo.snapshot import Family, HistogramSample, Sample, Snapshot

IDLE = ("gpt2", "r0")
"""A release that stopped at once: whatever is divided by its traffic must be absent and not NaN."""
RELEASES = (IDLE, ("gpt2", "r1"), ("gpt2", "r2"))
_OPEN_VALUES = {
    "indicator": tuple(item.id for item in INDICATORS),
    "layer": ("0", "1"),
    "head": ("0", "1", "2"),
    "query_bin": ("0.00", "0.50"),
    "key_bin": ("0.00", "0.50"),
    "check": ("offset_ledger", "padding_visible"),
    "trained_tokens": ("1024",),
}
_BAD_SHARE = 0.1


def full_snapshot(now: float, started_at: float) -> Snapshot:
    """What an agent that started at `started_at` says at `now` (Unix seconds). One event in ten is bad."""
    seconds = max(now - started_at, 0.0)
    return Snapshot(now, started_at, tuple(_family(metric, now, seconds) for metric in ALL))


def _family(metric: Metric, now: float, seconds: float) -> Family:
    sets = dict.fromkeys(_label_sets(metric))
    lived = {labels: 0.0 if _model(metric, labels) == IDLE else seconds for labels in sets}
    if metric.kind is Kind.HISTOGRAM:
        return Family(metric, tuple(_histogram(metric, labels, lived[labels]) for labels in sets))
    return Family(metric, tuple(Sample(labels, _value(metric, now, lived[labels])) for labels in sets))


def _histogram(metric: Metric, labels: tuple[str, ...], seconds: float) -> HistogramSample:
    """Ten events a second in every bucket; `sum` as if each were worth its bucket's upper edge."""
    count = round(10 * seconds)
    return HistogramSample(labels, (count,) * (len(metric.buckets) + 1), count * sum(metric.buckets))


def _model(metric: Metric, labels: tuple[str, ...]) -> tuple[str, ...]:
    names = metric.label_names
    return labels[names.index("model") :][:2] if "model" in names else ()


def _label_sets(metric: Metric) -> list[tuple[str, ...]]:
    """All combinations of label values; model and release go together."""
    choices = [_values(label) for label in metric.labels]
    sets = list(product(*choices))
    return [labels for labels in sets if _model(metric, labels) in ((), *RELEASES)]


def _values(label: Label) -> tuple[str, ...]:
    if label.name in ("model", "model_version"):
        return tuple(dict.fromkeys(release[("model", "model_version").index(label.name)] for release in RELEASES))
    return label.values or _OPEN_VALUES.get(label.name, (f"{label.name}-a",))


def _value(metric: Metric, now: float, seconds: float) -> float:
    if metric.kind is Kind.INFO:
        return 1.0
    if metric.kind is Kind.GAUGE:
        return now - 5.0 if metric.unit == "s" and "timestamp" in metric.name else 0.25
    events = round(100 * seconds)
    return float(round(events * _BAD_SHARE)) if metric == metrics.SLI_BAD_EVENTS else float(events)
