"""Time per token and memory per sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from locant.observation import ABSENT, ForwardFacts, RowFacts
from locant.sidecar.accountant.subject import Subject, exemplar_of, sli
from locant.sidecar.store import Update, observe, put
from locant_slo.catalogue import metrics
from locant_slo.statistics import length_bucket


def _bucket(row: RowFacts, subject: Subject) -> str:
    return length_bucket(row.real + max(row.real_before, 0), subject.profile.trained_tokens)


def latency(facts: ForwardFacts, subject: Subject) -> Iterator[Update]:
    """Time per token, counted by token: a row's tokens share the pass's time, and the row waits for all of it."""
    if facts.error or not facts.duration_seconds > 0:
        return
    tokens: Counter[tuple[str, int]] = Counter()
    for row in facts.rows:
        if row.real > 0:
            tokens[_bucket(row, subject), row.real] += row.real
    slow = 0
    for (bucket, per_row), count in tokens.items():
        seconds = facts.duration_seconds / per_row
        labels = (facts.phase, bucket, *subject.labels)
        yield observe(metrics.TOKEN_DURATION, labels, seconds, count, exemplar_of(facts, seconds))
        slow += count if seconds > subject.config.latency_target_seconds else 0
    yield from sli(subject, "latency_per_token", tokens.total(), slow, exemplar_of(facts, facts.duration_seconds))


def memory(facts: ForwardFacts, subject: Subject) -> Iterator[Update]:
    """Bytes per sequence. All rows of a cache are equally wide, so each holds an equal share.

    Judged for decoders only: an encoder-decoder's cache also holds the encoder's keys, of a length that the facts
    do not tell.
    """
    if facts.peak_device_bytes > 0:
        yield put(metrics.PEAK_MEMORY, subject.labels, facts.peak_device_bytes)
    if facts.error or facts.cache_bytes <= 0 or not facts.rows:
        return
    held = (facts.cache_bytes + facts.positional_bytes) / len(facts.rows)
    for bucket, count in Counter(_bucket(row, subject) for row in facts.rows if row.real > 0).items():
        yield observe(metrics.SEQUENCE_MEMORY, (bucket, *subject.labels), held, count)
    budgets = [budget for row in facts.rows if (budget := _budget(row, facts.queries, subject)) is not None]
    yield from sli(subject, "memory_per_sequence", len(budgets), sum(held > budget for budget in budgets))


def _budget(row: RowFacts, queries: int, subject: Subject) -> float | None:
    """Bytes that a row may hold after this pass; None when the model or the cache does not say what is normal."""
    per_token = subject.profile.cache_bytes_per_token
    if per_token is None or subject.profile.kind != "decoder" or row.cache_tokens == ABSENT or row.real <= 0:
        return None
    config = subject.config
    return config.memory_factor * per_token * (row.cache_tokens + queries) + config.memory_constant_bytes
