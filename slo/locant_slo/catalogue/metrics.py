"""Every metric that Locant exports."""

from __future__ import annotations

from locant_slo.catalogue import labels as la
from locant_slo.catalogue.labels import Label
from locant_slo.catalogue.metric import Kind, Metric, Tier, counter, gauge, histogram
from locant_slo.catalogue.own import *  # noqa: F403 - one page of names for everybody, in two files

_MODEL = (la.MODEL, la.MODEL_VERSION)
_LENGTH_EDGES = tuple(float(round(2 ** (k / 2 + 0.25))) for k in range(7, 35))
"""28 edges, two an octave, 13 to 155872 tokens, with every power of two in the middle of a bucket: a template that
grows from 512 to 520 tokens must not look like a shift of half an octave."""
_TOKEN_SECONDS = (
    1e-5,
    2.5e-5,
    5e-5,
    1e-4,
    2.5e-4,
    5e-4,
    1e-3,
    2.5e-3,
    5e-3,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
)
_PASS_SECONDS = (5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SEQUENCE_BYTES = tuple(float(2**k) for k in range(12, 37, 2))


# --- service level indicators: one pair of counters for all of them
SLI_EVENTS = counter(
    "locant.sli.events", "{event}", "Valid events of an indicator, good and bad.", la.INDICATOR, *_MODEL
)
SLI_BAD_EVENTS = counter("locant.sli.bad.events", "{event}", "Bad events of an indicator.", la.INDICATOR, *_MODEL)
OBJECTIVE_RATIO = gauge(
    "locant.sli.objective.ratio",
    "1",
    "The objective that the loaded spec sets for an indicator.",
    la.INDICATOR,
    *_MODEL,
)

# --- the model
BUILD_INFO = Metric(
    "locant.build.info",
    Kind.INFO,
    "",
    "The running version of Locant; always 1.",
    (Label("version", "release of Locant"),),
)
MODEL_INFO = Metric(
    "locant.model.info",
    Kind.INFO,
    "",
    "The positional configuration of a watched model; always 1.",
    (
        *_MODEL,
        Label("family", "the model family"),
        la.SCHEME,
        Label("trained_tokens", "the trained length"),
        Label("config_hash", "checksum of everything positional in the configuration"),
    ),
)
FINDINGS = counter(
    "locant.findings",
    "{finding}",
    "Occurrences of positional findings.",
    la.FAILURE_MODE,
    la.SEVERITY,
    la.CHECK,
    *_MODEL,
)

# --- traffic
FORWARD_PASSES = counter("locant.forward.passes", "{pass}", "Forward passes seen.", la.PHASE, la.OUTCOME, *_MODEL)
SEQUENCES = counter("locant.sequences", "{sequence}", "Sequences (rows of forward passes) checked.", la.PHASE, *_MODEL)
TOKENS = counter("locant.tokens", "{token}", "Tokens computed, real and padding.", la.TOKEN_KIND, *_MODEL)
SEQUENCE_LENGTH = histogram(
    "locant.sequence.length.tokens", "{token}", "Real tokens per new sequence.", _LENGTH_EDGES, *_MODEL
)
SEQUENCE_LOG2 = counter(
    "locant.sequence.log2.tokens",
    "{octave}",
    "Sum of log2 of the lengths of new sequences: the exact signed shift.",
    *_MODEL,
)
REFERENCE_LENGTH = histogram(
    "locant.reference.length.tokens",
    "{token}",
    "The pinned reference of sequence lengths.",
    _LENGTH_EDGES,
    *_MODEL,
)
LENGTH_DRIFT = gauge(
    "locant.length.drift.octaves",
    "{octave}",
    "Wasserstein-1 distance of the window's lengths from the pinned reference, in octaves (1: twice as long).",
    *_MODEL,
)
CONTEXT_UTILIZATION = histogram(
    "locant.context.utilization.ratio",
    "1",
    "Largest position of a sequence over the trained length.",
    (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.5, 2.0, 4.0),
    *_MODEL,
)

# --- latency and memory
FORWARD_DURATION = histogram(
    "locant.forward.duration.seconds", "s", "Time of a forward pass.", _PASS_SECONDS, la.PHASE, *_MODEL
)
TOKEN_DURATION = histogram(
    "locant.token.duration.seconds",
    "s",
    "Time per token: of a decode pass, or of a prefill or encode pass over its real tokens per row.",
    _TOKEN_SECONDS,
    la.PHASE,
    la.LENGTH_BUCKET,
    *_MODEL,
)
SEQUENCE_MEMORY = histogram(
    "locant.sequence.memory.bytes",
    "By",
    "KV cache and positional bytes held per sequence.",
    _SEQUENCE_BYTES,
    la.LENGTH_BUCKET,
    *_MODEL,
)
PEAK_MEMORY = gauge("locant.device.peak.memory.bytes", "By", "Peak memory allocated on the accelerator.", *_MODEL)

# --- attention
ATTENTION_ROWS = counter(
    "locant.attention.rows", "{row}", "Query rows sampled by the attention profiler.", la.LAYER, *_MODEL
)
ATTENTION_MASS = counter(
    "locant.attention.mass",
    "{row}",
    "Sum over sampled rows of an attention mass; divided by the rows it is the mean.",
    la.STATISTIC,
    la.LAYER,
    *_MODEL,
)
ATTENTION_ENTROPY = counter(
    "locant.attention.entropy.nats",
    "{nat}",
    "Sum over sampled rows of the attention entropy.",
    la.LAYER,
    *_MODEL,
)
ATTENTION_RELATIVE_ENTROPY = counter(
    "locant.attention.entropy.ratio",
    "1",
    "Sum over sampled rows of the attention entropy as a share of the log of the visible keys.",
    la.LAYER,
    *_MODEL,
)
ATTENTION_DISTANCE = counter(
    "locant.attention.distance.tokens",
    "{token}",
    "Sum over sampled rows of the mean attended distance.",
    la.LAYER,
    *_MODEL,
)
ATTENTION_LOG_DISTANCE = counter(
    "locant.attention.distance.nats",
    "{nat}",
    "Sum over sampled rows of the mean log of one more than the attended distance.",
    la.LAYER,
    *_MODEL,
)
HEAD_PADDING_MASS = gauge(
    "locant.attention.head.padding.ratio",
    "1",
    "Mean attention mass on padding, per head.",
    la.LAYER,
    la.HEAD,
    *_MODEL,
    tier=Tier.DEBUG,
)
HEAD_ENTROPY = gauge(
    "locant.attention.head.entropy.nats",
    "{nat}",
    "Mean attention entropy, per head.",
    la.LAYER,
    la.HEAD,
    *_MODEL,
    tier=Tier.DEBUG,
)
HEAD_HEAT = gauge(
    "locant.attention.heat.ratio",
    "1",
    "Mean attention mass from a bin of query positions to a bin of key positions, for the layer and head in focus.",
    la.LAYER,
    la.HEAD,
    la.QUERY_BIN,
    la.KEY_BIN,
    *_MODEL,
    tier=Tier.DEBUG,
)
ENTROPY_HEADS_CHANGED = gauge(
    "locant.entropy.changed.heads",
    "{head}",
    "Heads whose entropy disagrees with the reference release.",
    *_MODEL,
)

# --- canary
CANARY_CASES = counter(
    "locant.canary.cases", "{case}", "Canary cases answered.", la.TASK, la.LENGTH_BUCKET, la.RESULT, *_MODEL
)
CANARY_LOSS = counter(
    "locant.canary.loss.nats",
    "{nat}",
    "Sum of the canary's answer loss per position bucket.",
    la.POSITION_BUCKET,
    *_MODEL,
)
CANARY_LOSS_TOKENS = counter(
    "locant.canary.loss.tokens",
    "{token}",
    "Answer tokens behind the canary's loss.",
    la.POSITION_BUCKET,
    *_MODEL,
)
CANARY_LAST_RUN = gauge(
    "locant.canary.last.run.timestamp.seconds", "s", "Unix time of the last complete canary run.", *_MODEL
)
REGRESSION_LOG_EVIDENCE = gauge(
    "locant.regression.log.evidence.nats",
    "{nat}",
    "Log of the sequential evidence that a release is worse than its predecessor on paired cases; 4.6 at 1 %.",
    la.BASELINE_VERSION,
    *_MODEL,
)

_FOUND = [value for value in list(globals().values()) if isinstance(value, Metric)]
ALL: tuple[Metric, ...] = tuple(sorted(_FOUND, key=lambda metric: metric.tier is Tier.SELF))
"""Locant's own last, otherwise in the order of this page."""
by_prometheus_name: dict[str, Metric] = {metric.prometheus_name: metric for metric in ALL}
