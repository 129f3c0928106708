"""Spans around tokenizing and computing, with lengths, positional configuration and model version.

    with request_span(tracer, model, traceparent=headers.get("traceparent", "")) as request:
        with tokenize_span(tracer) as span:
            batch = tokenizer(prompts, padding=True)
            record_batch(span, Batch(lengths, padding_tokens))
        with forward_span(tracer, model, phase="prefill") as span:
            ...
        record_usage(request, input_tokens, output_tokens)

They work with the tracer of any TracerProvider and cost nothing but a call where none is installed. An exception is
recorded by its class alone: its message could quote a prompt.

Proven by tests: parents, attributes and times through the SDK, and on the wire (OTLP/HTTP) against a receiver built on
OpenTelemetry's own messages. Not proven: how any tracing backend displays them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from locant_exporters import semconv
from locant_exporters.span_facts import (
    Attribute,
    Batch,
    ForwardPass,
    ServedModel,
    batch_attributes,
    known,
    model_attributes,
    pass_attributes,
)

__all__ = [
    "Batch",
    "ForwardPass",
    "ServedModel",
    "forward_span",
    "record_batch",
    "record_forward",
    "record_usage",
    "request_span",
    "tokenize_span",
    "trace_ids",
]


@contextmanager
def request_span(
    tracer: Tracer,
    model: ServedModel,
    *,
    operation: str = semconv.TEXT_COMPLETION,
    traceparent: str = "",
    tracestate: str = "",
) -> Iterator[Span]:
    """The whole request. Its parent is `traceparent` (W3C header) where that is valid, else the span that is open."""
    attributes = {semconv.OPERATION: operation, semconv.PROVIDER: model.provider, semconv.REQUEST_MODEL: model.name}
    kind = SpanKind.SERVER if traceparent else SpanKind.INTERNAL
    parent = _parent(traceparent, tracestate)
    with _span(tracer, f"{operation} {model.name}", {**attributes, **model_attributes(model)}, kind, parent) as span:
        yield span


@contextmanager
def tokenize_span(tracer: Tracer) -> Iterator[Span]:
    """Text to tokens. Call `record_batch` inside, when the lengths are known."""
    with _span(tracer, semconv.TOKENIZE, {}) as span:
        yield span


@contextmanager
def forward_span(tracer: Tracer, model: ServedModel, *, phase: str) -> Iterator[Span]:
    """One forward pass. Call `record_batch` inside."""
    with _span(tracer, semconv.FORWARD, {semconv.PHASE: phase, **model_attributes(model)}) as span:
        yield span


def record_batch(span: Span, batch: Batch) -> None:
    """Say what the span's sequences were."""
    span.set_attributes(batch_attributes(batch))


def record_usage(span: Span, *, input_tokens: int, output_tokens: int | None = None) -> None:
    """Say on a request's span what it used."""
    span.set_attributes(known({semconv.INPUT_TOKENS: input_tokens, semconv.OUTPUT_TOKENS: output_tokens}))


def record_forward(tracer: Tracer, model: ServedModel, forward: ForwardPass, *, sampled: bool = True) -> Span | None:
    """Write the span of a pass that is over, as a child of the span that it names; None when it names none.

    `sampled` is the parent's decision, which a parent-based sampler follows.
    """
    header = f"00-{forward.trace_id}-{forward.span_id}-{int(sampled):02x}"
    parent = _extract(header, "")
    if not trace.get_current_span(parent).get_span_context().is_valid:
        return None
    begun_at = forward.ended_at - max(0.0, forward.duration_seconds)
    attributes = {**model_attributes(model), **pass_attributes(forward), **batch_attributes(forward.batch)}
    span = tracer.start_span(semconv.FORWARD, parent, attributes=attributes, start_time=_nanoseconds(begun_at))
    if forward.error:
        _record_error(span, forward.error)
    span.end(_nanoseconds(forward.ended_at))
    return span


def trace_ids(span: Span | None = None) -> tuple[str, str]:
    """Trace and span id of `span` (or the open span) in hexadecimal, as exemplars and `ForwardPass` want them."""
    context = (span or trace.get_current_span()).get_span_context()
    if not context.is_valid:
        return ("", "")
    return (trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id))


@contextmanager
def _span(
    tracer: Tracer,
    name: str,
    attributes: Mapping[str, Attribute],
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
) -> Iterator[Span]:
    with tracer.start_as_current_span(
        name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            _record_error(span, type(error).__qualname__)
            raise


def _record_error(span: Span, error_type: str) -> None:
    span.set_attribute(semconv.ERROR_TYPE, error_type)
    span.set_status(StatusCode.ERROR)


def _parent(traceparent: str, tracestate: str) -> Context | None:
    """None (the open span) unless the header names a span."""
    remote = _extract(traceparent, tracestate)
    return remote if trace.get_current_span(remote).get_span_context().is_valid else None


def _extract(traceparent: str, tracestate: str) -> Context:
    headers = {"traceparent": traceparent, "tracestate": tracestate}
    return TraceContextTextMapPropagator().extract(headers, Context())


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000) * 1_000
