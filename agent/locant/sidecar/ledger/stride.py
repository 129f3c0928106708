"""A decode loop that goes on exactly: each call is the last one with every row one token further, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import attrgetter, itemgetter

from locant.observation import ForwardFacts, ModelProfile, RowFacts, RowField
from locant.sidecar.ledger.advance import advance
from locant.sidecar.ledger.moves import Move
from locant.sidecar.ledger.state import RowState
from locant.sidecar.note import PassNote

_counts = itemgetter(slice(0, RowField.REAL_BEFORE))
_moving = itemgetter(slice(RowField.REAL_BEFORE, RowField.FIRST_OFFSET))
_rest = itemgetter(slice(RowField.FIRST_OFFSET, RowField.FIRST_TOKEN_HASH))
_header = attrgetter(
    *("phase", "queries", "cache_parent", "masked", "mask_rank", "positions_given", "table_growths", "error"),
    *("declared", "packed", "request_ids", "encoder_pads_open"),
)
"""Of a pass, what must stay as it was. What a pass samples (rotary values, visible keys) may come and go."""

_serials = itertools.count(1)


class Stride:
    """From one call on, `steps` more that went on exactly.

    What such steps do to a request is known without looking: counts and positions grow by one. So the ledger need not
    write each of them down; `settled` gives the rows as the last one left them. `quiet` is how many of its steps are
    known to be healthy, `rest` how many calls to judge before asking again, `note` how to read each one's attention.
    """

    __slots__ = (
        "_cache_seen",
        "_profile",
        "_states",
        "_unchanged",
        "losses",
        "note",
        "quiet",
        "rest",
        "serial",
        "start",
        "steps",
    )

    def __init__(
        self, start: ForwardFacts, states: Sequence[RowState | None], profile: ModelProfile, losses: int
    ) -> None:
        self.start = start
        self.serial = next(_serials)
        self.losses = losses
        self.steps = self.quiet = self.rest = 0
        self.note: PassNote | None = None
        self._states = tuple(state for state in states if state is not None)
        self._profile = profile
        self._unchanged = _header(start)
        self._cache_seen = "cache" in start.seen

    def goes_on(self, facts: ForwardFacts) -> bool:
        """Whether this pass is the next step."""
        rows, steps = self.start.rows, self.steps + 1
        if len(facts.rows) != len(rows) or _header(facts) != self._unchanged:
            return False
        if ("cache" in facts.seen) is not self._cache_seen:
            return False
        for now, row in zip(facts.rows, rows, strict=True):
            if _counts(now) != _counts(row) or _rest(now) != _rest(row):
                return False
            before, tokens, first, last, lowest, highest = _moving(now)
            moved = (before - steps, tokens - steps, first - steps, last - steps)
            if (*moved, lowest - steps, highest - steps) != _moving(row):
                return False
        return True

    def settled(self, steps: int) -> tuple[RowState, ...]:
        """The requests so many steps after the start."""
        rows = zip(self.start.rows, self._states, strict=True)
        return tuple(self._settled(further(row, steps), state, steps) for row, state in rows) if steps else self._states

    def _settled(self, row: RowFacts, state: RowState, steps: int) -> RowState:
        before = state._replace(passes=state.passes + steps - 1)
        return advance(row, before, Move.SAME, self.start, self._profile, state.open_pads, self.losses) or state


def further(row: RowFacts, steps: int) -> RowFacts:
    """The row of a step that comes so many steps later."""
    return RowFacts._make((*_counts(row), *(number + steps for number in _moving(row)), *row[RowField.FIRST_OFFSET :]))


def may_stride(facts: ForwardFacts, moves: Sequence[Move], states: Sequence[RowState | None]) -> bool:
    """Whether a pass, and how it left its requests, is one that could go on exactly: plain decoding of one token."""
    if facts.phase != "decode" or facts.queries != 1 or not facts.cache_id or not facts.rows:
        return False
    if facts.error or facts.packed or facts.request_ids or facts.table_growths:
        return False
    return all(
        move is Move.SAME and state is not None and _plain(row) and _follows(state, row)
        for row, move, state in zip(facts.rows, moves, states, strict=True)
    )


def _plain(row: RowFacts) -> bool:
    return row.real == 1 and min(_moving(row)) >= 0 and row.first_offset == row.last_offset


def _follows(state: RowState, row: RowFacts) -> bool:
    return state.offset == row.first_offset and state.suspect_offset is None and state.real == row.real_before + 1
