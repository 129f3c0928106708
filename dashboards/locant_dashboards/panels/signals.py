"""The signals on call: latency, streaming, positions, padding."""

from __future__ import annotations

from locant_dashboards.ask import over_time
from locant_dashboards.grafana import Line, TimeSeries
from locant_dashboards.objectives import bad_steps, good_steps
from locant_dashboards.queries import RATE, RELEASE, Queries
from locant_slo.catalogue import labels as la
from locant_slo.catalogue import metrics
from locant_slo.spec import Spec


def latency(spec: Spec, q: Queries) -> Line:
    """Time per token, streaming chunks and failed passes."""
    by = (la.PHASE, *RELEASE)
    latency = TimeSeries(
        title="Latency per token (p95)",
        description="The time within which 95 % of tokens were computed, by what the pass did. Dots are exemplars.",
        unit="s",
        targets=[over_time(q.quantile(0.95, metrics.TOKEN_DURATION, by), *by, exemplar=True)],
    )
    chunks = TimeSeries(
        title="Streaming chunk errors",
        description="Streamed chunks that failed or disagree with the request so far, of all. The line is the budget.",
        unit="percentunit",
        minimum=0,
        steps=bad_steps(spec, "streaming_chunks"),
        threshold_lines=True,
        targets=[over_time(q.bad_ratio("streaming_chunks", RELEASE), *RELEASE)],
    )
    failed = TimeSeries(
        title="Failed forward passes",
        description="Forward passes a second that ended in an error.",
        unit="ops",
        minimum=0,
        targets=[over_time(q.rate(metrics.FORWARD_PASSES, by, {la.OUTCOME: "error"}), *by)],
    )
    return Line((latency, chunks, failed))


def positions(spec: Spec, q: Queries) -> Line:
    """Position integrity, length drift and findings by failure mode."""
    integrity = TimeSeries(
        title="Position integrity",
        description="Sequences without a positional finding, of all that were checked.",
        unit="percentunit",
        maximum=1,
        steps=good_steps(spec, "position_integrity"),
        threshold_lines=True,
        targets=[over_time(q.good_ratio("position_integrity", RELEASE), *RELEASE)],
    )
    drift = TimeSeries(
        title="Length drift",
        description="Distance of recent sequence lengths from the pinned reference, in octaves: 1 is twice as long.",
        unit="none",
        minimum=0,
        targets=[over_time(q.gauge("max", metrics.LENGTH_DRIFT, RELEASE), *RELEASE)],
    )
    by = (la.FAILURE_MODE,)
    modes = TimeSeries(
        title="Findings by failure mode",
        description="Findings per rate interval.",
        unit="short",
        minimum=0,
        stacked=True,
        targets=[over_time(q.increase(metrics.FINDINGS, by, window=RATE), *by)],
    )
    return Line((integrity, drift, modes))


def padding(spec: Spec, q: Queries) -> Line:
    """Attention on padding, by pass and by layer, and the share of padding."""
    passes = TimeSeries(
        title="Passes that attend to padding",
        description="Sampled passes in which real tokens put 1 % or more of their attention on padding, of all.",
        unit="percentunit",
        minimum=0,
        steps=bad_steps(spec, "padding_attention"),
        threshold_lines=True,
        targets=[over_time(q.bad_ratio("padding_attention", RELEASE), *RELEASE)],
    )
    by = (la.LAYER, *RELEASE)
    mass = {la.STATISTIC: "padding_mass"}
    layers = TimeSeries(
        title="Attention on padding by layer",
        description="Mean share of attention that sampled real tokens put on padding. Healthy is 0.",
        unit="percentunit",
        minimum=0,
        targets=[over_time(q.per_row(metrics.ATTENTION_MASS, by, mass), *by)],
    )
    share = TimeSeries(
        title="Padding among computed tokens",
        description="Padding tokens of all tokens computed: work that is thrown away.",
        unit="percentunit",
        minimum=0,
        targets=[over_time(q.bad_ratio("padding_ratio", RELEASE), *RELEASE)],
    )
    return Line((passes, layers, share))
