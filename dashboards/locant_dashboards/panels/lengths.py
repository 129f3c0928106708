"""Sequence lengths, context, memory and loss by position."""

from __future__ import annotations

from locant_dashboards.ask import buckets, over_time
from locant_dashboards.grafana import Heatmap, Line, TimeSeries
from locant_dashboards.queries import RELEASE, SLOW, Queries, divided, quantile_of
from locant_slo import promql
from locant_slo.catalogue import labels as la
from locant_slo.catalogue import metrics


def lengths(q: Queries) -> Line:
    """Distributions of sequence length and of context utilization."""
    lengths = Heatmap(
        title="Sequence lengths",
        description="New sequences by real tokens, two buckets an octave.",
        unit="none",
        targets=[buckets(q.increase(metrics.SEQUENCE_LENGTH, ("le",), suffix="_bucket"))],
    )
    context = Heatmap(
        title="Context utilization",
        description="Sequences by their largest position over the trained length. Above 1 the model extrapolates.",
        unit="percentunit",
        targets=[buckets(q.increase(metrics.CONTEXT_UTILIZATION, ("le",), suffix="_bucket"))],
    )
    return Line((lengths, context), height=9)


def quantiles(q: Queries) -> Line:
    """Lengths against the pinned reference."""
    reference = f"sum {promql.grouping(('le',))} ({q.one(metrics.REFERENCE_LENGTH, suffix='_bucket')})"
    lengths = TimeSeries(
        title="Sequence length against the reference",
        description="Quantiles of the last hour's new sequences, and the same of the pinned reference.",
        unit="none",
        logarithmic=True,
        targets=[
            over_time(q.quantile(0.5, metrics.SEQUENCE_LENGTH, window=SLOW), called="median"),
            over_time(q.quantile(0.95, metrics.SEQUENCE_LENGTH, window=SLOW), called="p95"),
            over_time(quantile_of(0.5, reference), called="reference median"),
            over_time(quantile_of(0.95, reference), called="reference p95"),
        ],
    )
    shift = divided(
        q.increase(metrics.SEQUENCE_LOG2, RELEASE, window=SLOW),
        q.increase(metrics.SEQUENCE_LENGTH, RELEASE, window=SLOW, suffix="_count"),
    )
    mean = TimeSeries(
        title="Geometric mean length",
        description="2 to the mean of log2 of the last hour's sequence lengths: the middle on a scale of octaves.",
        unit="none",
        targets=[over_time(f"2 ^ ({shift})", *RELEASE)],
    )
    drift = TimeSeries(
        title="Length drift",
        description="Distance of recent lengths from the pinned reference in octaves: 1 is twice as long.",
        unit="none",
        minimum=0,
        targets=[over_time(q.gauge("max", metrics.LENGTH_DRIFT, RELEASE), *RELEASE)],
    )
    return Line((lengths, mean, drift))


def memory(q: Queries) -> Line:
    """Memory per sequence, on the device, and loss by position."""
    by = (la.LENGTH_BUCKET,)
    memory = TimeSeries(
        title="Memory per sequence (p95)",
        description="Cache and positional bytes that 95 % of sequences stay within, by length.",
        unit="bytes",
        targets=[over_time(q.quantile(0.95, metrics.SEQUENCE_MEMORY, by), *by)],
    )
    peak = TimeSeries(
        title="Peak device memory",
        description="Peak memory allocated on the accelerator.",
        unit="bytes",
        minimum=0,
        no_value="No accelerator",
        targets=[over_time(q.gauge("max", metrics.PEAK_MEMORY, RELEASE), *RELEASE)],
    )
    position = (la.POSITION_BUCKET,)
    summed = q.increase(metrics.CANARY_LOSS, position, window=SLOW)
    loss = TimeSeries(
        title="Canary loss by position",
        description="Mean loss of the canary's answer tokens in nats, by fifths of the trained length, last hour.",
        unit="none",
        targets=[
            over_time(divided(summed, q.increase(metrics.CANARY_LOSS_TOKENS, position, window=SLOW)), *position),
        ],
    )
    return Line((memory, peak, loss))
