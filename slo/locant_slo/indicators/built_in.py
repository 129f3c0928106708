"""The built-in service level indicators: what each one counts, and what it is worth by default.

Every indicator is a pair of counters, bad events over all valid events (`locant_sli_bad_events_total`,
`locant_sli_events_total`, label `indicator`), so that it adds up across rows, layers, pods and time.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator: id, title, what an event is, when it is bad, and the default objective (None: information)."""

    id: str
    title: str
    event: str
    bad: str
    objective: Decimal | None
    unit: str


INDICATORS: tuple[Indicator, ...] = (
    Indicator(
        "sequence_correctness",
        "Sequence correctness",
        "a canary case within the trained length",
        "its answer is wrong",
        Decimal("0.99"),
        "case",
    ),
    Indicator(
        "extrapolation_accuracy",
        "Extrapolation accuracy",
        "a canary case beyond the trained length whose twin inside it was answered right",
        "its answer is wrong",
        Decimal("0.95"),
        "case",
    ),
    Indicator(
        "padding_attention",
        "Padding attention",
        "a forward pass with padding whose attention was sampled",
        "real tokens put 1 % or more of their attention on padding in some sampled layer",
        Decimal("0.99"),
        "pass",
    ),
    Indicator(
        "position_integrity",
        "Position integrity",
        "a sequence (row of a forward pass) whose positions were checked",
        "a positional finding that pages or opens a ticket names it",
        Decimal("0.999"),
        "sequence",
    ),
    Indicator("padding_ratio", "Padding ratio", "a token computed", "it is padding", None, "token"),
    Indicator(
        "length_drift",
        "Length drift",
        "a window of sequence lengths with enough sequences to judge",
        "its Wasserstein-1 distance to the pinned reference exceeds the limit",
        Decimal("0.99"),
        "window",
    ),
    Indicator(
        "streaming_chunks",
        "Streaming chunks",
        "a streamed chunk: a decode step of one sequence, or an item passed through `watch.stream`",
        "it failed, or its cache state or positions disagree with the request so far",
        Decimal("0.999"),
        "chunk",
    ),
    Indicator(
        "latency_per_token",
        "Latency per token",
        "a token computed",
        "it took longer than the target",
        Decimal("0.95"),
        "token",
    ),
    Indicator(
        "memory_per_sequence",
        "Memory per sequence",
        "a sequence whose cache was measured",
        "it holds more than the budget for its length",
        Decimal("0.99"),
        "sequence",
    ),
    Indicator(
        "positional_regression",
        "Positional regression",
        "a canary case answered by a release and by its predecessor",
        "the predecessor answered it right and this release does not",
        Decimal("0.99"),
        "case",
    ),
    Indicator(
        "position_anomaly",
        "Position anomaly",
        "a sequence whose positions were checked",
        "a position or length is outside what the model allows",
        Decimal("0.999"),
        "sequence",
    ),
    Indicator(
        "entropy_stability",
        "Entropy stability",
        "a head with enough sampled rows in this release and its reference",
        "its mean attention entropy moved by more than the limit",
        None,
        "head",
    ),
    Indicator(
        "positional_loss",
        "Positional loss",
        "a canary answer bucket with a loss in this release and its reference",
        "its mean loss is worse by more than the limit",
        None,
        "bucket",
    ),
)

FROM_CANARY = frozenset({"sequence_correctness", "extrapolation_accuracy", "positional_regression", "positional_loss"})
"""Those that count a canary's answers, and nothing where none runs."""

BY_ID: dict[str, Indicator] = {indicator.id: indicator for indicator in INDICATORS}
