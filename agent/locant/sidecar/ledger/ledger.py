"""The ledger itself: requests by cache and row, and by id where the engine tells them. Bounded by number and by age."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from locant.observation import ABSENT, ForwardFacts, ModelProfile, RowFacts
from locant.sidecar.ledger.advance import advance
from locant.sidecar.ledger.moves import Move, judge_move
from locant.sidecar.ledger.state import RowState
from locant.sidecar.ledger.stride import Stride, may_stride

_Rows = tuple[RowState | None, ...]


@dataclass(slots=True)
class CacheState:
    """All rows of one cache object, when it was last used, and with which rotary parameters its keys were written.

    In a stride, `rows` are as its start left them.
    """

    rows: _Rows
    time: float
    parameters_hash: int | None
    stride: Stride | None = None

    def rows_now(self) -> _Rows:
        """The rows as the last call left them."""
        return self.rows if self.stride is None else self.stride.settled(self.stride.steps)


@dataclass(frozen=True, slots=True)
class Followed:
    """What the ledger knew of each row before a call, and how the call stands to it."""

    rows: _Rows
    moves: tuple[Move, ...]
    parameters_hash: int | None = None
    losses: int = 0


class Ledger:
    """Follows requests from call to call. At most `capacity` rows, the least recently used leave first; a cache that
    was not used for `ttl_seconds` is forgotten. About a kilobyte per row, so 4 MB at the default of 4096.
    """

    def __init__(self, *, ttl_seconds: float, capacity: int) -> None:
        self._ttl_seconds = ttl_seconds
        self._capacity = capacity
        self._caches: OrderedDict[tuple[int, int], CacheState] = OrderedDict()
        self._requests: OrderedDict[tuple[int, str], tuple[float, RowState]] = OrderedDict()
        self._passes: dict[int, tuple[int, int]] = {}
        self._held = 0

    def __len__(self) -> int:
        """Rows held now."""
        return self._held

    def follow(self, facts: ForwardFacts, profile: ModelProfile) -> Followed:
        """Find the request behind each row. Rows may have been permuted (beams), copied, cropped or reused."""
        cache = self._caches.get((facts.model_id, facts.cache_id)) if facts.cache_id else None
        known = cache or (self._caches.get((facts.model_id, facts.cache_parent)) if facts.cache_parent else None)
        before = known.rows_now() if known is not None else ()
        ids = facts.request_ids if len(facts.request_ids) == len(facts.rows) else ()
        rows = tuple(
            self._told(facts.model_id, ids[i], row)
            if ids and self._is_told(facts.model_id, ids[i])
            else match(row, i, before, facts)
            for i, row in enumerate(facts.rows)
        )
        losses = self._count_losses(facts)
        moves = tuple(
            judge_move(row, state, facts, profile, losses) for row, state in zip(facts.rows, rows, strict=True)
        )
        return Followed(rows, moves, known.parameters_hash if known is not None else None, losses)

    def record(self, facts: ForwardFacts, followed: Followed, profile: ModelProfile, open_pads: Sequence[int]) -> None:
        """Remember each request as this call left it, then let go of what is too old or too much."""
        rows = tuple(
            advance(row, state, move, facts, profile, pads, followed.losses)
            for row, state, move, pads in zip(facts.rows, followed.rows, followed.moves, open_pads, strict=True)
        )
        if facts.cache_id and rows:
            plain = may_stride(facts, followed.moves, rows)
            self._put(facts, rows, Stride(facts, rows, profile, followed.losses) if plain else None)
        if len(facts.request_ids) == len(rows):
            for request_id, state in zip(facts.request_ids, rows, strict=True):
                if state is not None:
                    self._requests[(facts.model_id, request_id)] = (facts.time, state)
                    self._requests.move_to_end((facts.model_id, request_id))
        self._expire(facts.time)

    def stride(self, facts: ForwardFacts) -> Stride | None:
        """The stride that the pass's cache is in, if it is in one."""
        cache = self._caches.get((facts.model_id, facts.cache_id))
        return cache.stride if cache is not None else None

    def step(self, facts: ForwardFacts, stride: Stride) -> None:
        """Remember a pass that goes on with its stride, which costs the same however many rows it has."""
        stride.steps += 1
        stride.losses = self._count_losses(facts)
        key = (facts.model_id, facts.cache_id)
        self._caches[key].time = facts.time
        self._caches.move_to_end(key)
        self._expire(facts.time)

    def break_strides(self, model_id: int) -> None:
        """Let every cache of a model be judged anew, as when the model itself changed."""
        for cache in (cache for key, cache in self._caches.items() if key[0] == model_id):
            cache.rows, cache.stride = cache.rows_now(), None

    def forget(self, model_id: int) -> None:
        """Drop everything about a model."""
        self._passes.pop(model_id, None)
        for key in [key for key in self._caches if key[0] == model_id]:
            self._held -= len(self._caches.pop(key).rows)
        for told in [told for told in self._requests if told[0] == model_id]:
            del self._requests[told]

    def _count_losses(self, facts: ForwardFacts) -> int:
        """Gaps in the model's pass numbers so far: passes that were dropped on the way."""
        latest, losses = self._passes.get(facts.model_id, (facts.pass_number - 1, 0))
        losses += facts.pass_number > latest + 1
        self._passes[facts.model_id] = (max(latest, facts.pass_number), losses)
        return losses

    def _put(self, facts: ForwardFacts, rows: _Rows, stride: Stride | None) -> None:
        key = (facts.model_id, facts.cache_id)
        previous = self._caches.pop(key, None)
        found = facts.rotary.parameters_hash if facts.rotary is not None else None
        if found is None and previous is not None:
            found = previous.parameters_hash
        self._caches[key] = CacheState(rows, facts.time, found, stride)
        self._held += len(rows) - (len(previous.rows) if previous is not None else 0)

    def _expire(self, now: float) -> None:
        while self._caches:
            oldest = next(iter(self._caches.values()))
            if self._held <= self._capacity and now - oldest.time <= self._ttl_seconds:
                break
            self._held -= len(self._caches.popitem(last=False)[1].rows)
        while self._requests:
            if (
                len(self._requests) <= self._capacity
                and now - next(iter(self._requests.values()))[0] <= self._ttl_seconds
            ):
                break
            self._requests.popitem(last=False)

    def _is_told(self, model_id: int, request_id: str) -> bool:
        return (model_id, request_id) in self._requests

    def _told(self, model_id: int, request_id: str, row: RowFacts) -> RowState | None:
        return None if starts_afresh(row) else self._requests[(model_id, request_id)][1]


def starts_afresh(row: RowFacts) -> bool:
    """Nothing real of this sequence is cached: a new cache, a cleared one, or a slot whose past is masked."""
    return row.cache_tokens == 0 or row.real_before == 0 or (row.cache_tokens == ABSENT and row.real_before == ABSENT)


def match(row: RowFacts, index: int, before: _Rows, facts: ForwardFacts) -> RowState | None:
    """The state that a row continues: its own place, or the place that fits when rows were permuted or multiplied."""
    if not before or starts_afresh(row):
        return None
    own = before[index] if index < len(before) else None
    kept = own is not None and (own.offset is None or own.offset == row.first_offset)
    if kept and own is not None and (own.real == row.real_before or not facts.masked):
        return own
    chosen = _reselected(before, facts)
    for other in before:
        fits = other is not None and other.offset == row.first_offset and other.real == row.real_before
        if fits and other is not None and (chosen or (own is not None and own.masked_pads == other.masked_pads)):
            return other
    if len(before) == len(facts.rows):
        return own
    return before[0] if len(before) == 1 or _fits_none(row, before, facts) else None


def _fits_none(row: RowFacts, before: _Rows, facts: ForwardFacts) -> bool:
    """Where rows were chosen or multiplied and all had one offset, whichever a row continues, it must have that too."""
    offsets = {state.offset if state is not None else None for state in before}
    whole = len(facts.rows) < len(before) or len(facts.rows) % len(before) == 0
    return facts.masked and whole and len(offsets) == 1 and None not in offsets and row.first_offset not in offsets


def _reselected(before: _Rows, facts: ForwardFacts) -> bool:
    """Whether rows moved together with their masks: fewer or more rows, or the same lengths in another order.

    Otherwise a row can only have come from a place with as much padding: beams of one prompt.
    """
    lengths = sorted(state.real for state in before if state is not None)
    return len(before) != len(facts.rows) or (facts.masked and sorted(row.real_before for row in facts.rows) == lengths)
