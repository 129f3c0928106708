"""How long a new sequence is: told once, when its prefill is over, not for each chunk or decode step."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import log2
from typing import NamedTuple

from locant.observation import ABSENT, ForwardFacts, RowFacts
from locant.sidecar.accountant.subject import Subject
from locant.sidecar.store import Update, add, observe
from locant_slo.catalogue import metrics

_DECODE, _ENCODE = "decode", "encode"


class NewSequence(NamedTuple):
    """Real tokens of a sequence and its largest position (ABSENT when it was not seen)."""

    tokens: int
    largest_position: int


@dataclass(slots=True)
class _Cache:
    """Rows of one cache: the sequence being prefilled, or None once it was told."""

    touched: float
    rows: dict[int, NewSequence | None] = field(default_factory=dict)


class PrefillTracker:
    """Follows caches from their first prefill to their first decode step.

    A row with nothing before it starts a sequence. A row with tokens before it continues the one being prefilled
    (chunked prefill), starts one when its cache was never seen (a prefix hit, a restored session), and says nothing new
    when that was told already (the next turn, a speculative check). A sequence is told at the first decode step, when
    another takes its row, or `settle_seconds` after its last chunk. Passes without a cache tell at once. Packed rows
    hold several sequences of unknown lengths and tell nothing.
    """

    def __init__(self, capacity: int = 1024, settle_seconds: float = 10.0) -> None:
        self._capacity = capacity
        self._settle_seconds = settle_seconds
        self._caches: OrderedDict[tuple[int, int], _Cache] = OrderedDict()

    def take(self, facts: ForwardFacts, now: float) -> list[NewSequence]:
        """Follow one pass; the sequences that it settles."""
        if facts.error:
            return []
        if facts.phase == _ENCODE or facts.cache_id == 0:
            fresh = facts.phase != _DECODE
            return [_sequence(row) for _, row in _single(facts) if fresh and row.real_before <= 0]
        cache = self._caches.setdefault((facts.model_id, facts.cache_id), _Cache(now))
        self._caches.move_to_end((facts.model_id, facts.cache_id))
        cache.touched = now
        step = _decode if facts.phase == _DECODE else _prefill
        told = [done for i, row in _single(facts) if (done := step(cache, i, row)) is not None]
        if len(self._caches) > self._capacity:
            told += _tell(self._caches.popitem(last=False)[1])
        return told

    def goes_on(self, facts: ForwardFacts, now: float) -> bool:
        """Note a decode step after another of the same rows: they were told then. False for a cache not known (any
        more), whose step must be taken."""
        cache = self._caches.get((facts.model_id, facts.cache_id))
        if cache is None:
            return False
        self._caches.move_to_end((facts.model_id, facts.cache_id))
        cache.touched = now
        return True

    def settle(self, now: float) -> list[NewSequence]:
        """The sequences whose prefill has been quiet long enough."""
        told: list[NewSequence] = []
        for cache in self._caches.values():
            if now - cache.touched >= self._settle_seconds:
                told += _tell(cache)
        return told

    def close(self, model_id: int) -> list[NewSequence]:
        """Everything not told yet of one probe; forgets its caches."""
        keys = [key for key in self._caches if key[0] == model_id]
        return [sequence for key in keys for sequence in _tell(self._caches.pop(key))]


def _single(facts: ForwardFacts) -> list[tuple[int, RowFacts]]:
    """Rows that hold one sequence, with their indices."""
    rows = () if facts.packed else facts.rows
    return [(index, row) for index, row in enumerate(rows) if row.real > 0 and row.resets <= 0]


def _sequence(row: RowFacts) -> NewSequence:
    return NewSequence(row.real + max(row.real_before, 0), row.max_position)


def _prefill(cache: _Cache, index: int, row: RowFacts) -> NewSequence | None:
    known = index in cache.rows
    pending = cache.rows.get(index)
    if row.real_before == 0:
        cache.rows[index] = _sequence(row)
        return pending
    if pending is not None or not known:
        cache.rows[index] = _sequence(row)
    return None


def _decode(cache: _Cache, index: int, row: RowFacts) -> NewSequence | None:
    pending = cache.rows.get(index)
    cache.rows[index] = None
    return pending


def _tell(cache: _Cache) -> list[NewSequence]:
    told = [sequence for sequence in cache.rows.values() if sequence is not None]
    cache.rows = dict.fromkeys(cache.rows)
    return told


def told(sequences: Iterable[NewSequence], subject: Subject) -> Iterator[Update]:
    """Length, log2 of it (the exact signed shift) and the share of the trained length that positions reached."""
    trained = subject.profile.trained_tokens
    for tokens, largest_position in sequences:
        yield observe(metrics.SEQUENCE_LENGTH, subject.labels, tokens)
        yield add(metrics.SEQUENCE_LOG2, subject.labels, log2(tokens))
        if trained and largest_position != ABSENT:
            used = max(largest_position - subject.profile.base + 1, 0) / trained
            yield observe(metrics.CONTEXT_UTILIZATION, subject.labels, used)
