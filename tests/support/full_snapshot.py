"""A service in full swing: every metric of the catalogue, with every value of every closed label, growing."""

from __future__ import annotations

from itertools import product

from locant_slo.catalogue import ALL, Kind, Label, Metric, metrics
from locant_slo.indicators import INDICATORS
from locant_slo.snapshot import Family, HistogramSample, Sample, Snapshot

RELEASES = (("gpt2", "r1"), ("gpt2", "r2"))
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
    sets = list(dict.fromkeys(_label_sets(metric)))
    if metric.kind is Kind.HISTOGRAM:
        count = round(10 * seconds)
        total = count * sum(metric.buckets)
        return Family(
            metric, tuple(HistogramSample(labels, (count,) * (len(metric.buckets) + 1), total) for labels in sets)
        )
    return Family(metric, tuple(Sample(labels, _value(metric, now, seconds)) for labels in sets))


def _label_sets(metric: Metric) -> list[tuple[str, ...]]:
    """All combinations of label values; model and release go together."""
    choices = [_values(label) for label in metric.labels]
    sets = list(product(*choices))
    names = metric.label_names
    if "model" not in names:
        return sets
    at = names.index("model")
    return [labels for labels in sets if labels[at : at + 2] in RELEASES]


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
