"""Time per token and memory per sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from locant.observation import ABSENT, ForwardFacts
from locant.sidecar.accountant.subject import Subject, exemplar_of, sli
from locant.sidecar.store import Update, observe, put
from locant_slo.catalogue import metrics
from locant_slo.statistics import length_bucket


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a pass's rows decides where its time and its memory are counted.

    `tokens`: how many in rows of this length and so many each; `lengths`: rows of each length; `widths`: rows by the
    tokens that their cache holds, where the memory that they may take is known.
    """

    tokens: Mapping[tuple[str, int], int]
    lengths: Mapping[str, int]
    widths: Mapping[int, int]

    def wider(self, steps: int) -> Shape:
        """The same after so many decode steps, as long as no row grew into another length."""
        return replace(self, widths={tokens + steps: rows for tokens, rows in self.widths.items()})


def shape_of(facts: ForwardFacts, subject: Subject, later: int = 0) -> Shape:
    """The shape of a pass, or of one that comes so many decode steps later."""
    tokens: Counter[tuple[str, int]] = Counter()
    lengths: Counter[str] = Counter()
    widths: Counter[int] = Counter()
    decoder = subject.profile.kind == "decoder"
    for row in facts.rows:
        if row.real > 0:
            bucket = length_bucket(row.real + max(row.real_before, 0) + later, subject.profile.trained_tokens)
            tokens[bucket, row.real] += row.real
            lengths[bucket] += 1
            if decoder and row.cache_tokens != ABSENT:
                widths[row.cache_tokens + later] += 1
    return Shape(tokens, lengths, widths)


def latency(facts: ForwardFacts, shape: Shape, subject: Subject) -> Iterator[Update]:
    """Time per token, counted by token: a row's tokens share the pass's time, and the row waits for all of it."""
    if facts.error or not facts.duration_seconds > 0:
        return
    exemplar = exemplar_of(facts, facts.duration_seconds)
    yield observe(metrics.FORWARD_DURATION, (facts.phase, *subject.labels), facts.duration_seconds, 1, exemplar)
    slow = 0
    for (bucket, per_row), count in shape.tokens.items():
        seconds = facts.duration_seconds / per_row
        labels = (facts.phase, bucket, *subject.labels)
        yield observe(metrics.TOKEN_DURATION, labels, seconds, count, exemplar_of(facts, seconds))
        slow += count if seconds > subject.config.latency_target_seconds else 0
    yield from sli(subject, "latency_per_token", sum(shape.tokens.values()), slow, exemplar)


def memory(facts: ForwardFacts, shape: Shape, subject: Subject) -> Iterator[Update]:
    """Bytes per sequence. All rows of a cache are equally wide, so each holds an equal share.

    Judged for decoders only: an encoder-decoder's cache also holds the encoder's keys, of a length that the facts
    do not tell.
    """
    if facts.peak_device_bytes > 0:
        yield put(metrics.PEAK_MEMORY, subject.labels, facts.peak_device_bytes)
    if facts.error or facts.cache_bytes <= 0 or not facts.rows:
        return
    held = (facts.cache_bytes + facts.positional_bytes) / len(facts.rows)
    for bucket, count in shape.lengths.items():
        yield observe(metrics.SEQUENCE_MEMORY, (bucket, *subject.labels), held, count)
    if subject.profile.cache_bytes_per_token is not None:
        over = sum(rows for tokens, rows in shape.widths.items() if held > _budget(tokens + facts.queries, subject))
        yield from sli(subject, "memory_per_sequence", sum(shape.widths.values()), over)


def _budget(tokens: int, subject: Subject) -> float:
    """Bytes that a row of so many tokens may hold, padding included."""
    per_token = subject.profile.cache_bytes_per_token or 0
    return subject.config.memory_factor * per_token * tokens + subject.config.memory_constant_bytes
