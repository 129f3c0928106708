"""The snapshot as Prometheus text and OpenMetrics."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from locant_exporters.exposition import OPENMETRICS, TEXT, choose_format, expose
from locant_exporters.prometheus import SnapshotCollector, spelled_names, unit_word
from locant_slo.catalogue import ALL, Kind, labels, metrics
from locant_slo.snapshot import Exemplar, Family, HistogramSample, Sample, Snapshot
from support.snapshots import AWKWARD, SPAN_ID, TRACE_ID, rich_snapshot

PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def text_of(snapshot: Snapshot, accept: str = "", names: frozenset[str] = frozenset()) -> str:
    return expose(SnapshotCollector(lambda: snapshot, names=names), accept=accept).body.decode()


def one_sample(value: str, exemplar: Exemplar | None = None) -> Snapshot:
    sample = Sample((value, "r1"), 5.0, exemplar)
    return Snapshot(1.0, 0.0, (Family(metrics.OBSERVATIONS, (sample,)),))


def values(families) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_both_formats_carry_every_number_of_the_snapshot():
    snapshot = rich_snapshot()
    as_text = values(parse_text(text_of(snapshot)))
    as_openmetrics = values(parse_openmetrics(text_of(snapshot, PROMETHEUS_2)))
    assert as_text == as_openmetrics
    for family in snapshot.families:
        for sample in family.samples:
            found = frozenset(zip(family.metric.label_names, sample.labels, strict=True))
            name = family.metric.prometheus_name
            if isinstance(sample, HistogramSample):
                assert as_text[f"{name}_count", found] == sample.count
                assert as_text[f"{name}_sum", found] == sample.sum
                assert as_text[f"{name}_bucket", found | {("le", "+Inf")}] == sample.count
            else:
                assert as_text[name, found] == sample.value


def test_no_created_series_double_the_counters():
    assert "_created" not in text_of(rich_snapshot(), PROMETHEUS_2)


def test_promtool_finds_nothing_to_complain_about(program):
    text = expose(SnapshotCollector(rich_snapshot)).body
    check = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_the_same_snapshot_in_another_order_gives_the_same_text():
    snapshot = rich_snapshot()
    backwards = tuple(Family(f.metric, tuple(reversed(f.samples))) for f in reversed(snapshot.families))
    other = Snapshot(snapshot.taken_at, snapshot.started_at, backwards)
    assert text_of(snapshot, PROMETHEUS_3) == text_of(other, PROMETHEUS_3)


def test_a_scrape_takes_one_snapshot_and_registering_takes_none():
    taken = []
    collector = SnapshotCollector(lambda: taken.append(1) or rich_snapshot())
    registry = CollectorRegistry(auto_describe=True)
    registry.register(collector)
    assert not taken
    expose(registry)
    assert len(taken) == 1


def test_openmetrics_carries_exemplars_on_counters_and_buckets_and_never_on_gauges():
    families = list(parse_openmetrics(text_of(rich_snapshot(), PROMETHEUS_3)))
    with_exemplar = {family.type for family in families for sample in family.samples if sample.exemplar}
    assert with_exemplar == {"counter", "histogram"}
    exemplar = next(s.exemplar for f in families for s in f.samples if s.exemplar)
    assert exemplar.labels == {"trace_id": TRACE_ID, "span_id": SPAN_ID}
    gauge = Family(metrics.QUEUE_DEPTH, (Sample((), 1.0, Exemplar(1.0, 1.0, TRACE_ID)),))
    assert " # " not in text_of(Snapshot(1.0, 0.0, (gauge,)), PROMETHEUS_2)


@pytest.mark.parametrize(
    "exemplar", [Exemplar(float("nan"), 1.0), Exemplar(1.0, float("inf")), Exemplar(1.0, 1.0, "x" * 500)]
)
def test_an_exemplar_that_openmetrics_forbids_does_not_cost_the_scrape(exemplar):
    (family,) = parse_openmetrics(text_of(one_sample("gpt2", exemplar), PROMETHEUS_2))
    assert family.samples[0].value == 5.0


@given(st.text(st.characters(), max_size=20))
@settings(max_examples=200)
def test_any_label_value_survives_both_formats(value):
    storable = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")
    for accept, parse in (("", parse_text), (PROMETHEUS_2, parse_openmetrics)):
        body = text_of(one_sample(value), accept)
        assert len(body.split("\n")) == len(text_of(one_sample("plain"), accept).split("\n"))
        if accept or "\\" not in value:  # the client's 0.0.4 parser unescapes in an order of its own
            (family,) = parse(body)
            assert family.samples[0].labels[labels.MODEL.name] == storable


def test_a_sample_with_missing_labels_is_an_error_of_ours_and_not_a_wrong_series():
    snapshot = Snapshot(1.0, 0.0, (Family(metrics.OBSERVATIONS, (Sample(("gpt2",), 1.0),)),))
    with pytest.raises(ValueError, match="zip"):
        text_of(snapshot)


@pytest.mark.parametrize("suffix", ["_bucket", "_sum", "_count", ""])
def test_a_name_picks_its_family_alone(suffix):
    name = metrics.SEQUENCE_LENGTH.prometheus_name
    (family,) = parse_text(text_of(rich_snapshot(), names=frozenset({name + suffix})))
    assert family.name == name
    assert text_of(rich_snapshot(), names=frozenset({"nobody"})) == ""


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (PROMETHEUS_2, OPENMETRICS),
        (PROMETHEUS_3, OPENMETRICS),
        ("application/openmetrics-text", OPENMETRICS),
        ("text/plain;version=0.0.4", TEXT),
        ("text/plain, application/openmetrics-text;q=0.5", TEXT),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        ("application/openmetrics-text;q=0", TEXT),
        ("*/*", TEXT),
        ("", TEXT),
        ("application/openmetrics-text;version=;q=x;;=,,;", TEXT),
        ("text/html,application/xhtml+xml", TEXT),
    ],
)
def test_the_clients_wish_decides_the_format(accept, chosen):
    assert choose_format(accept) == chosen


@given(st.text(max_size=60))
@settings(max_examples=50)
def test_no_header_breaks_the_negotiation(header):
    assert choose_format(header) in (TEXT, OPENMETRICS)
    expose(CollectorRegistry(), accept=header, accept_encoding=header)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_unit_is_the_end_of_the_familys_name(metric):
    name = metric.prometheus_name.removesuffix("_total")
    assert name.endswith(unit_word(metric))
    if metric.unit in ("s", "By", "1"):
        assert unit_word(metric) in ("seconds", "bytes", "ratio")
    if metric.kind is Kind.INFO:
        assert unit_word(metric) == ""


def test_no_two_metrics_share_a_sample_name():
    spelled = [name for metric in ALL for name in spelled_names(metric)]
    assert len(spelled) == len(set(spelled))


def test_the_rich_snapshot_covers_the_catalogue():
    assert {family.metric for family in rich_snapshot().families} == set(ALL)


def test_awkward_names_are_in_the_rich_snapshot():
    assert AWKWARD in {value for family in rich_snapshot().families for s in family.samples for value in s.labels}


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("br, GZIP;q=0.5", "gzip"),
        ("gzip;q=0", ""),
        ("gzip;q=2", ""),
        ("deflate", ""),
        ("", ""),
    ],
)
def test_only_who_takes_gzip_gets_it_wherever_it_stands_in_the_header(header, encoding):
    assert expose(CollectorRegistry(), accept_encoding=header).encoding == encoding
