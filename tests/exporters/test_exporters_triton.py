"""Snapshots on Triton's page: every number arrives, nothing unchanged is sent, nothing ever counts down."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from locant_exporters.prometheus import SnapshotCollector
from locant_exporters.triton import TritonMetrics
from locant_slo.catalogue import metrics
from locant_slo.snapshot import Family, Sample, Snapshot
from support.full_snapshot import full_snapshot

BEGAN = 1_764_000_000.0


@dataclass
class FakeMetric:
    """One series as Triton keeps it; like the real one it must not be told to count down."""

    counter: bool
    number: float = 0.0
    calls: int = 0

    def increment(self, by):
        assert self.counter
        assert by > 0
        self.number += by
        self.calls += 1

    def set(self, to):
        assert not self.counter
        self.number = to
        self.calls += 1


@dataclass
class FakeFamily:
    COUNTER, GAUGE = "counter", "gauge"
    made = {}  # noqa: RUF012

    name: str
    description: str
    kind: str
    series: dict = field(default_factory=dict)

    def __post_init__(self):
        assert "\n" not in self.description
        assert self.made.setdefault(self.name, self) is self

    def Metric(self, labels):
        assert all(isinstance(value, str) for value in labels.values())
        return self.series.setdefault(tuple(sorted(labels.items())), FakeMetric(self.kind == self.COUNTER))


@pytest.fixture
def triton():
    family = type("MetricFamily", (FakeFamily,), {"made": {}})
    return type("pb_utils", (), {"MetricFamily": family})


def page(triton):
    return {
        (name, labels): metric.number
        for name, family in triton.MetricFamily.made.items()
        for labels, metric in family.series.items()
    }


def as_prometheus(snapshot):
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(lambda: snapshot))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_the_page_says_what_prometheus_would_have_read(triton):
    shown = TritonMetrics(triton)
    for seconds in (0.0, 30.0, 90.0):
        snapshot = full_snapshot(BEGAN + seconds, BEGAN)
        shown.show(snapshot)
        assert page(triton) == pytest.approx(as_prometheus(snapshot))


def test_what_did_not_change_is_not_sent(triton):
    shown, snapshot = TritonMetrics(triton), full_snapshot(BEGAN + 30.0, BEGAN)
    shown.show(snapshot)
    series = [metric for family in triton.MetricFamily.made.values() for metric in family.series.values()]
    calls = [metric.calls for metric in series]
    shown.show(snapshot)
    assert [metric.calls for metric in series] == calls


def one(metric, labels, value):
    return Snapshot(BEGAN, BEGAN, (Family(metric, (Sample(labels, value),)),))


def test_a_counter_that_begins_again_goes_on_from_there(triton):
    shown, labels = TritonMetrics(triton), ("chat", "r1", "decode", "ok")
    for value in (5.0, 2.0, 3.0):
        shown.show(one(metrics.FORWARD_PASSES, labels[: len(metrics.FORWARD_PASSES.labels)], value))
    assert list(page(triton).values()) == [6.0]


def test_a_gauge_that_is_gone_does_not_look_kept_up_and_may_come_back(triton):
    shown = TritonMetrics(triton)
    shown.show(one(metrics.QUEUE_DEPTH, (), 3.0))
    shown.show(Snapshot(BEGAN, BEGAN, ()))
    assert all(math.isnan(value) for value in page(triton).values())
    shown.show(one(metrics.QUEUE_DEPTH, (), 4.0))
    assert list(page(triton).values()) == [4.0]
