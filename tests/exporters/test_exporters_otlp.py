"""The snapshot over OTLP/HTTP: what is sent, and what happens when nobody takes it."""

from __future__ import annotations

import logging
import re
import threading

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE

from locant_exporters.otlp import OtlpPusher
from locant_exporters.outcomes import Outcomes
from locant_slo.catalogue import ALL, Kind, metrics
from locant_slo.errors import ConfigError
from locant_slo.snapshot import Exemplar, Family, Sample, Snapshot
from support.otlp_receiver import otlp_receiver
from support.real_servers import eventually, free_port
from support.snapshots import SPAN_ID, STARTED_AT, TAKEN_AT, TRACE_ID, rich_snapshot


@pytest.fixture
def receiver():
    with otlp_receiver() as receiver:
        yield receiver


def pushed(receiver, snapshot=rich_snapshot, **options) -> OtlpPusher:
    """A pusher that pushed once, by being closed."""
    pusher = OtlpPusher(snapshot, f"{receiver.url}/v1/metrics", interval_seconds=3600, **options).start()
    assert pusher.close(20.0)
    return pusher


def nanoseconds(seconds: float) -> int:
    return int(seconds * 4) * 250_000_000  # the fixture's times are exact quarters


def attributes(point) -> dict[str, str]:
    return {item.key: item.value.string_value for item in point.attributes}


class TestWhatIsSent:
    def test_every_metric_of_the_catalogue_with_its_own_name_unit_and_help(self, receiver):
        pushed(receiver)
        for metric in ALL:
            sent = receiver.metric(metric.name)
            assert (sent.unit, sent.description) == (metric.unit, metric.help)
            field = {Kind.COUNTER: "sum", Kind.HISTOGRAM: "histogram"}.get(metric.kind, "gauge")
            assert sent.WhichOneof("data") == field

    def test_counters_are_cumulative_from_the_agents_start(self, receiver):
        pushed(receiver)
        sent = receiver.metric(metrics.SLI_EVENTS.name).sum
        assert sent.is_monotonic
        assert sent.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
        point = sent.data_points[0]
        assert (point.start_time_unix_nano, point.time_unix_nano) == (nanoseconds(STARTED_AT), nanoseconds(TAKEN_AT))
        family = next(f for f in rich_snapshot().families if f.metric is metrics.SLI_EVENTS)
        assert point.as_double == family.samples[0].value
        assert tuple(attributes(point).values()) == family.samples[0].labels

    def test_histograms_keep_bounds_counts_and_sum_and_invent_no_extremes(self, receiver):
        pushed(receiver)
        point = receiver.metric(metrics.SEQUENCE_LENGTH.name).histogram.data_points[0]
        family = next(f for f in rich_snapshot().families if f.metric is metrics.SEQUENCE_LENGTH)
        assert tuple(point.explicit_bounds) == metrics.SEQUENCE_LENGTH.buckets
        assert tuple(point.bucket_counts) == family.samples[0].counts
        assert (point.count, point.sum) == (family.samples[0].count, family.samples[0].sum)
        assert not point.HasField("min")
        assert not point.HasField("max")

    def test_exemplars_carry_the_trace_with_its_leading_zeros(self, receiver):
        pushed(receiver)
        exemplar = receiver.metric(metrics.SLI_EVENTS.name).sum.data_points[0].exemplars[0]
        assert exemplar.trace_id.hex() == TRACE_ID
        assert exemplar.span_id.hex() == SPAN_ID
        assert exemplar.time_unix_nano == nanoseconds(TAKEN_AT - 1.0)

    @pytest.mark.parametrize("trace_id", ["", "xyz", "0" * 31, "0" * 33])
    def test_an_exemplar_without_a_real_trace_goes_without_one(self, receiver, trace_id):
        sample = Sample(("gpt2", "r1"), 1.0, Exemplar(1.0, 2.0, trace_id, SPAN_ID))
        pushed(receiver, lambda: Snapshot(2.0, 1.0, (Family(metrics.OBSERVATIONS, (sample,)),)))
        (exemplar,) = receiver.metric(metrics.OBSERVATIONS.name).sum.data_points[0].exemplars
        assert exemplar.trace_id == b""

    def test_resource_and_headers_are_the_owners(self, receiver):
        pushed(receiver, headers={"Authorization": "Bearer x"}, resource={"service.name": "qa", "k8s.pod.name": "p-0"})
        assert receiver.headers[0]["authorization"] == "Bearer x"
        (sent,) = receiver.metrics[0].resource_metrics
        assert attributes(sent.resource) == {"service.name": "qa", "k8s.pod.name": "p-0"}

    def test_label_values_that_are_no_text_do_not_cost_the_export(self, receiver):
        sample = Sample(("\ud800", "\0"), 1.0)
        pusher = pushed(receiver, lambda: Snapshot(2.0, 1.0, (Family(metrics.OBSERVATIONS, (sample,)),)))
        assert pusher.outcomes == Outcomes(ok=1)

    @pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
    def test_the_standard_translation_of_a_name_is_the_prometheus_name(self, metric):
        assert translated(metric.name, metric.unit, metric.kind) == metric.prometheus_name


def translated(name: str, unit: str, kind: Kind) -> str:
    """OpenTelemetry's rules (specification, compatibility with Prometheus): unit and kind become suffixes, once."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
    suffix = {"s": "seconds", "By": "bytes"}.get(unit, "")
    assert unit in ("s", "By", "1", "") or re.fullmatch(r"\{[a-z]+\}", unit), "a unit these rules do not know"
    if suffix and suffix not in words:
        words.append(suffix)
    last = "total" if kind is Kind.COUNTER else "ratio" if kind is Kind.GAUGE and unit == "1" else ""
    if last:
        words = [word for word in words if word != last] + [last]
    return "_".join(words)


class TestTheTimer:
    def test_a_fresh_snapshot_leaves_every_interval(self, receiver):
        scale = iter(range(1, 1000))
        source = lambda: rich_snapshot(scale=next(scale))  # noqa: E731
        pusher = OtlpPusher(source, f"{receiver.url}/v1/metrics", interval_seconds=0.05).start()
        eventually(lambda: len(receiver.metrics) >= 3)
        assert pusher.close(20.0)
        values = [
            point.as_double
            for request in receiver.metrics
            for metric in request.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == metrics.SLI_EVENTS.name
            for point in metric.sum.data_points[:1]
        ]
        assert values == sorted(set(values))
        assert pusher.outcomes == Outcomes(ok=len(receiver.metrics))

    def test_closing_sends_the_last_numbers_and_ends_the_thread(self, receiver):
        pusher = pushed(receiver)
        assert len(receiver.metrics) == 1
        assert pusher.close()
        assert len(receiver.metrics) == 1
        assert not any(thread.name == "locant-otlp" for thread in threading.enumerate())

    def test_building_a_pusher_starts_nothing(self):
        before = threading.active_count()
        pusher = OtlpPusher(rich_snapshot, "http://127.0.0.1:1/v1/metrics")
        assert threading.active_count() == before
        assert pusher.close()


class TestAReceiverThatFails:
    def test_refusals_are_counted_and_logged_once_and_recovery_needs_nothing(self, receiver, caplog):
        receiver.status = 400
        pusher = OtlpPusher(rich_snapshot, f"{receiver.url}/v1/metrics", interval_seconds=0.05).start()
        eventually(lambda: pusher.outcomes.error >= 3)
        receiver.status = 200
        eventually(lambda: pusher.outcomes.ok >= 1)
        pusher.close(20.0)
        lines = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [record.name for record in lines] == ["locant_exporters.otlp"]
        assert "400" in lines[0].getMessage()

    def test_nobody_there_is_named_in_the_one_line(self, caplog):
        endpoint = f"http://127.0.0.1:{free_port()}/v1/metrics"
        pusher = OtlpPusher(rich_snapshot, endpoint, interval_seconds=3600).start()
        assert not pusher.close(0.2)
        assert pusher.outcomes == Outcomes(error=1)
        (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert endpoint in line
        assert "Connection refused" in line

    def test_closing_does_not_wait_for_a_receiver_that_never_answers(self, receiver):
        receiver.hold.clear()
        pusher = OtlpPusher(rich_snapshot, f"{receiver.url}/v1/metrics", interval_seconds=3600).start()
        assert not pusher.close(0.2)
        receiver.hold.set()
        eventually(lambda: not any(thread.name == "locant-otlp" for thread in threading.enumerate()))

    def test_a_snapshot_that_fails_is_an_error_counted_and_not_the_end(self, receiver, caplog):
        failing = iter([True, False, False, False])
        source = lambda: 1 / 0 if next(failing, False) else rich_snapshot()  # noqa: E731
        pusher = OtlpPusher(source, f"{receiver.url}/v1/metrics", interval_seconds=0.05).start()
        eventually(lambda: pusher.outcomes.ok >= 1)
        pusher.close(20.0)
        assert pusher.outcomes.error == 1
        assert "ZeroDivisionError" in caplog.text

    def test_another_exporters_complaints_are_left_alone(self, receiver, caplog):
        from opentelemetry.exporter.otlp.proto.http import metric_exporter

        pusher = OtlpPusher(rich_snapshot, f"{receiver.url}/v1/metrics", interval_seconds=3600).start()
        logging.getLogger(metric_exporter.__name__).warning("of the application")
        pusher.close(20.0)
        assert "of the application" in caplog.text


@pytest.mark.parametrize("endpoint", ["", "localhost:4318", "grpc://h:4317", "http://"])
def test_an_endpoint_that_is_no_url_is_a_sentence(endpoint):
    with pytest.raises(ConfigError, match="is no HTTP URL; write http://HOST:4318/v1/metrics"):
        OtlpPusher(rich_snapshot, endpoint)


def test_no_secret_of_the_endpoint_is_logged(caplog):
    endpoint = f"http://who:secret@127.0.0.1:{free_port()}/v1/metrics?key=hidden"
    pusher = OtlpPusher(rich_snapshot, endpoint, interval_seconds=0.05).start()
    eventually(lambda: caplog.records)
    pusher.close(20.0)
    assert "/v1/metrics failed" in caplog.text
    assert "secret" not in caplog.text
    assert "hidden" not in caplog.text


@pytest.mark.parametrize("endpoint", ["http://[::1/v1", "http://who:secret@/v1", "ftp://who:secret@host"])
def test_no_secret_of_an_endpoint_that_is_no_url_is_told(endpoint):
    with pytest.raises(ConfigError, match="is no HTTP URL") as caught:
        OtlpPusher(rich_snapshot, endpoint)
    assert "secret" not in str(caught.value)
