"""Spans: parents, attributes, times and errors, through the SDK and on the wire."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode

from locant_exporters import semconv
from locant_exporters.spans import (
    Batch,
    ForwardPass,
    ServedModel,
    forward_span,
    record_batch,
    record_forward,
    record_usage,
    request_span,
    tokenize_span,
    trace_ids,
)
from locant_slo.catalogue import ALL
from support.otlp_receiver import otlp_receiver
from support.snapshots import SPAN_ID, TRACE_ID

MODEL = ServedModel("gpt2", "r7", "learned", 1024, "c0ffee")
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
PASS = ForwardPass(
    "prefill", 1_764_000_000.5, 0.25, Batch((7, 3), 4), TRACE_ID, SPAN_ID, cached_tokens=0, largest_position=6
)


@pytest.fixture
def memory():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(memory):
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(1.0)))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    yield provider.get_tracer("test")
    provider.shutdown()


def by_name(memory) -> dict[str, object]:
    return {span.name: span for span in memory.get_finished_spans()}


def serve_once(tracer) -> None:
    with request_span(tracer, MODEL, traceparent=PARENT) as request:
        with tokenize_span(tracer) as span:
            record_batch(span, Batch((7, 3), 4, truncated=1))
        with forward_span(tracer, MODEL, phase="prefill") as span:
            record_batch(span, Batch((7, 3), 4))
        record_usage(request, input_tokens=10, output_tokens=2)


def test_a_request_is_one_trace_below_the_callers_span(tracer, memory):
    serve_once(tracer)
    spans = by_name(memory)
    request = spans["text_completion gpt2"]
    assert trace.format_trace_id(request.context.trace_id) == TRACE_ID
    assert trace.format_span_id(request.parent.span_id) == SPAN_ID
    assert request.kind is SpanKind.SERVER
    for name in ("tokenize", "forward"):
        assert spans[name].parent.span_id == request.context.span_id


def test_spans_carry_lengths_positional_configuration_and_version(tracer, memory):
    serve_once(tracer)
    spans = by_name(memory)
    model = {
        semconv.MODEL_VERSION: "r7",
        semconv.SCHEME: "learned",
        semconv.TRAINED_TOKENS: 1024,
        semconv.CONFIG_HASH: "c0ffee",
    }
    batch = {
        semconv.SEQUENCES: 2,
        semconv.LENGTHS: (7, 3),
        semconv.LONGEST: 7,
        semconv.REAL_TOKENS: 10,
        semconv.PADDING_TOKENS: 4,
    }
    assert dict(spans["tokenize"].attributes) == {**batch, semconv.TRUNCATED: 1}
    assert dict(spans["forward"].attributes) == {**model, **batch, semconv.PHASE: "prefill"}
    assert dict(spans["text_completion gpt2"].attributes) == {
        **model,
        semconv.OPERATION: "text_completion",
        semconv.PROVIDER: "self_hosted",
        semconv.REQUEST_MODEL: "gpt2",
        semconv.INPUT_TOKENS: 10,
        semconv.OUTPUT_TOKENS: 2,
    }


def test_what_is_not_known_is_not_said(tracer, memory):
    with request_span(tracer, ServedModel("plain")), forward_span(tracer, ServedModel("plain"), phase="encode"):
        pass
    assert dict(by_name(memory)["forward"].attributes) == {semconv.PHASE: "encode"}


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{SPAN_ID}-01", f"ff-{TRACE_ID}-{SPAN_ID}-01"])
def test_without_a_valid_header_the_open_span_is_the_parent(tracer, memory, header):
    with tracer.start_as_current_span("http"), request_span(tracer, MODEL, traceparent=header):
        pass
    spans = by_name(memory)
    assert spans["text_completion gpt2"].parent.span_id == spans["http"].context.span_id


def test_an_error_is_its_class_and_never_its_words(tracer, memory):
    with pytest.raises(ValueError, match="the prompt"), request_span(tracer, MODEL), tokenize_span(tracer):
        raise ValueError("the prompt was: my secret")
    for span in memory.get_finished_spans():
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes[semconv.ERROR_TYPE] == "ValueError"
        assert "secret" not in span.to_json()


def test_a_batch_of_any_size_gives_a_span_of_bounded_size(tracer, memory):
    with tokenize_span(tracer) as span:
        record_batch(span, Batch(tuple(range(1000))))
    (span,) = memory.get_finished_spans()
    assert len(span.attributes[semconv.LENGTHS]) == 64
    assert span.attributes[semconv.SEQUENCES] == 1000
    assert span.attributes[semconv.LONGEST] == 999


def test_an_empty_batch_has_zeros(tracer, memory):
    with tokenize_span(tracer) as span:
        record_batch(span, Batch(()))
    assert by_name(memory)["tokenize"].attributes[semconv.LONGEST] == 0


class TestAPassThatIsOver:
    def test_it_becomes_a_child_with_the_times_it_had(self, tracer, memory):
        record_forward(tracer, MODEL, PASS)
        span = by_name(memory)["forward"]
        assert (span.start_time, span.end_time) == (1_764_000_000_250_000_000, 1_764_000_000_500_000_000)
        assert trace.format_trace_id(span.context.trace_id) == TRACE_ID
        assert trace.format_span_id(span.parent.span_id) == SPAN_ID
        assert span.attributes[semconv.LARGEST_POSITION] == 6
        assert span.attributes[semconv.CACHED_TOKENS] == 0
        assert span.attributes[semconv.MODEL_VERSION] == "r7"

    def test_without_a_trace_there_is_no_span(self, tracer, memory):
        for ids in (("", ""), ("x" * 32, SPAN_ID), (TRACE_ID, "0" * 16)):
            assert record_forward(tracer, MODEL, ForwardPass("decode", 1.0, 0.1, Batch((1,)), *ids)) is None
        assert not memory.get_finished_spans()

    def test_the_parents_sampling_decision_holds(self, tracer, memory):
        record_forward(tracer, MODEL, PASS, sampled=False)
        assert not memory.get_finished_spans()

    def test_an_error_of_the_model_is_on_it(self, tracer, memory):
        failed = ForwardPass("decode", 1.0, 0.1, Batch((1,)), TRACE_ID, SPAN_ID, error="IndexError")
        record_forward(tracer, MODEL, failed)
        assert by_name(memory)["forward"].attributes[semconv.ERROR_TYPE] == "IndexError"


def test_ids_for_exemplars_keep_their_leading_zeros(tracer):
    assert trace_ids() == ("", "")
    with request_span(tracer, MODEL, traceparent=PARENT) as span:
        assert trace_ids() == trace_ids(span)
        assert trace_ids()[0] == TRACE_ID
        assert len(trace_ids()[1]) == 16


def test_it_works_where_no_tracing_is_set_up():
    serve_once(NoOpTracerProvider().get_tracer("test"))


def test_on_the_wire_the_spans_are_what_they_were():
    with otlp_receiver() as receiver:
        provider = TracerProvider(resource=Resource({"service.name": "qa"}))
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{receiver.url}/v1/traces")))
        serve_once(provider.get_tracer("test"))
        record_forward(provider.get_tracer("test"), MODEL, PASS)
        provider.shutdown()
        spans = receiver.spans()
    assert [span.name for span in spans] == ["tokenize", "forward", "text_completion gpt2", "forward"]
    assert {span.trace_id.hex() for span in spans} == {TRACE_ID}
    assert spans[2].parent_span_id.hex() == SPAN_ID
    lengths = next(item for item in spans[0].attributes if item.key == semconv.LENGTHS)
    assert [value.int_value for value in lengths.value.array_value.values] == [7, 3]


def test_no_attribute_has_the_name_of_a_metric():
    names = {value for name, value in vars(semconv).items() if name.isupper()}
    assert not names & {metric.name for metric in ALL}
