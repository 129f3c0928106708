"""Whether a call continues its request where the last one left it: the offset rule and its legal exceptions."""

from __future__ import annotations

from enum import Enum

from locant.observation import ABSENT, ForwardFacts, ModelProfile, RowFacts
from locant.sidecar.ledger.state import RowState


class Move(Enum):
    """How a call stands to its request so far."""

    NEW = "new"  # nothing known before it, or nothing that may be held against it
    SAME = "same"  # the offset is kept
    MOVED = "moved"  # the offset changed and nothing legal explains it
    RAN_ON = "ran_on"  # tokens left the cache while positions ran on: eviction, or a rollback that forgot positions


MROPE = "mrope"
SLOTS_COUNT = "relative_bias"
"""Distances between slots of the cache, masked ones included: padding in between moves positions by right."""


def token_offset(row: RowFacts) -> int | None:
    """Position of the first real token minus all tokens before it, padding counted."""
    if ABSENT in (row.first_position, row.cache_tokens):
        return None
    return row.first_position - row.cache_tokens - max(row.left_pads, 0)


def neutral(profile: ModelProfile) -> int:
    """The offset of a request that simply starts at the beginning."""
    return profile.base if profile.absolute else 0


def cache_change(row: RowFacts, state: RowState) -> int:
    """Tokens that the cache holds beyond what the last call left: 0 expected, negative after a crop or an eviction."""
    if row.cache_tokens != ABSENT and state.tokens is not None:
        return row.cache_tokens - state.tokens
    return row.real_before - state.real if row.real_before != ABSENT else 0


def judge_move(
    row: RowFacts, state: RowState | None, facts: ForwardFacts, profile: ModelProfile, losses: int = 0
) -> Move:
    """The offset rule for one row: position minus real tokens before it does not change while the request lives."""
    if state is None or state.offset is None or not comparable(row, state, facts):
        return Move.NEW
    if state.suspect_offset is not None and row.first_offset == state.suspect_offset:
        return Move.MOVED if _outgrew(row, state) else Move.SAME
    if row.first_offset == state.offset or _same_with_padding_counted(row, state, facts, profile):
        return Move.SAME
    if profile.scheme == MROPE and not plain_text(row):
        return Move.NEW
    if state.losses != losses:
        return Move.NEW
    return _changed(row, state, profile)


def comparable(row: RowFacts, state: RowState, facts: ForwardFacts) -> bool:
    """Whether the two calls speak of one request in one way: no packing, no ragged slots behind a 4-D mask."""
    if row.real <= 0 or ABSENT in (row.first_offset, row.first_position):
        return False
    ragged = facts.mask_rank == 4 and len(facts.rows) > 1
    return not (row.resets > 0 or state.packed or facts.packed or ragged)


def plain_text(row: RowFacts) -> bool:
    """A multi-axis row without image or video tokens: all axes run together, one step per token."""
    return (
        row.jumps == 0
        and row.repeats == 0
        and row.min_position == row.first_position
        and row.max_position == row.last_position
    )


def _same_with_padding_counted(row: RowFacts, state: RowState, facts: ForwardFacts, profile: ModelProfile) -> bool:
    """Without a mask in both calls a run of the pad id may be text: the count with it then decides."""
    if facts.masked and state.masked and profile.scheme != SLOTS_COUNT:
        return False
    return state.token_offset is not None and token_offset(row) == state.token_offset


def _outgrew(row: RowFacts, state: RowState) -> bool:
    """The cache holds more than when it first seemed to evict: it was rolled back, and the positions were not."""
    held = row.cache_tokens if row.cache_tokens != ABSENT else row.real_before
    return state.suspect_offset is not None and held > state.suspect_limit


def _changed(row: RowFacts, state: RowState, profile: ModelProfile) -> Move:
    change = cache_change(row, state)
    at_rest = row.first_offset == neutral(profile)
    if change == 0:
        return Move.MOVED
    if change > 0:  # calls that were not seen lie between
        return Move.NEW
    if row.first_position == state.last_position + 1:
        return Move.MOVED if _outgrew(row, state) else Move.RAN_ON
    rolled_back = state.passes > 1 and -change < state.queries
    if profile.scheme == MROPE:
        return Move.MOVED if rolled_back else Move.NEW
    return Move.NEW if at_rest and not rolled_back else Move.MOVED
