"""The state of a request after a call."""

from __future__ import annotations

from locant.observation import ABSENT, ForwardFacts, ModelProfile, RowFacts
from locant.sidecar.ledger.moves import MROPE, Move
from locant.sidecar.ledger.state import NOTHING, RowState


def advance(
    row: RowFacts,
    state: RowState | None,
    move: Move,
    facts: ForwardFacts,
    profile: ModelProfile,
    open_pads: int,
    losses: int,
) -> RowState | None:
    """What to remember of the request; None when the call says nothing about tokens."""
    if row.real < 0:
        return None
    past = state or NOTHING
    tokens = None if row.cache_tokens == ABSENT else row.cache_tokens + facts.queries
    before = past.real if row.real_before == ABSENT else row.real_before
    kept = past._replace(
        tokens=tokens,
        real=before + row.real,
        queries=facts.queries,
        passes=past.passes + 1,
        masked=facts.masked,
        masked_pads=tokens - before - row.real if facts.masked and tokens is not None else past.masked_pads,
        open_pads=open_pads,
        packed=past.packed or row.resets > 0 or facts.packed,
        losses=losses,
        opening_hash=past.opening_hash if past.passes else row.first_token_hash,
        opening_tokens=past.opening_tokens if past.passes else row.real,
    )
    return _renumbered(kept, row, past, move, facts, profile) if row.real > 0 and row.last_position != ABSENT else kept


def _renumbered(
    kept: RowState, row: RowFacts, past: RowState, move: Move, facts: ForwardFacts, profile: ModelProfile
) -> RowState:
    """The same with what the call's positions say."""
    lowest = row.min_position - (kept.real - row.real) if past.lowest_position == ABSENT else past.lowest_position
    suspect_offset, suspect_limit = _suspect(row, past, move)
    return kept._replace(
        offset=_offset(row, past, move, facts, profile),
        token_offset=_token_offset(row, past, move, facts),
        last_position=row.last_position,
        lowest_position=min(lowest, row.min_position),
        suspect_offset=suspect_offset,
        suspect_limit=suspect_limit,
    )


def _offset(row: RowFacts, past: RowState, move: Move, facts: ForwardFacts, profile: ModelProfile) -> int | None:
    """The offset that the next call must start with; what moved keeps its old one, so that it stays reported."""
    if row.resets > 0 or facts.packed or row.first_offset == ABSENT or row.last_offset == ABSENT:
        return None
    if facts.mask_rank == 4 and row.jumps > 0 and profile.scheme != MROPE:
        return None  # a draft tree: what stays of it is decided after the call
    if past.offset is not None and (_is_kept(move) or _suspected(row, past)):
        return past.offset + row.last_offset - row.first_offset
    if profile.scheme == MROPE and row.last_position != row.max_position:
        return None  # the call ends inside an image: where text goes on depends on the image's size
    return row.last_offset


def _is_kept(move: Move) -> bool:
    return move in (Move.MOVED, Move.RAN_ON)


def _suspected(row: RowFacts, past: RowState) -> bool:
    return past.suspect_offset is not None and row.first_offset == past.suspect_offset


def _token_offset(row: RowFacts, past: RowState, move: Move, facts: ForwardFacts) -> int | None:
    if row.cache_tokens == ABSENT:
        return None
    if past.passes and _is_kept(move):
        return past.token_offset
    return row.last_position - (row.cache_tokens + facts.queries - max(row.right_pads, 0) - 1)


def _suspect(row: RowFacts, past: RowState, move: Move) -> tuple[int | None, int]:
    """Remember the first size at which tokens left while positions ran on; an evicting cache stays within it."""
    if move is Move.RAN_ON:
        limit = past.suspect_limit if past.suspect_offset is not None else (past.tokens or past.real)
        return row.first_offset, limit
    return (past.suspect_offset, past.suspect_limit) if _suspected(row, past) else (None, 0)
