"""The state of a request after a call."""

from __future__ import annotations

from locant.observation import ABSENT, ForwardFacts, ModelProfile, RowFacts
from locant.sidecar.ledger.moves import MROPE, Move
from locant.sidecar.ledger.state import RowState


def advance(
    row: RowFacts,
    state: RowState | None,
    move: Move,
    facts: ForwardFacts,
    profile: ModelProfile,
    open_pads: int,
    losses: int,
) -> RowState | None:
    """What to remember of the request; None when the call says nothing about positions or tokens."""
    if row.real < 0:
        return None
    same_request = state  # None already where the row starts afresh
    tokens = None if row.cache_tokens == ABSENT else row.cache_tokens + facts.queries
    before = row.real_before if row.real_before != ABSENT else (same_request.real if same_request else 0)
    seen = row.real > 0 and row.last_position != ABSENT
    suspect = _suspect(row, same_request, move)
    return RowState(
        offset=_offset(row, same_request, move, facts, profile)
        if seen
        else (same_request.offset if same_request else None),
        token_offset=_token_offset(row, facts) if seen else (same_request.token_offset if same_request else None),
        tokens=tokens,
        real=before + row.real,
        last_position=row.last_position if seen else (same_request.last_position if same_request else ABSENT),
        lowest_position=_lowest(row, same_request, before, seen),
        queries=facts.queries,
        passes=(same_request.passes if same_request else 0) + 1,
        masked=facts.masked,
        masked_pads=tokens - before - row.real if facts.masked and tokens is not None else _kept(same_request),
        open_pads=open_pads,
        packed=row.resets > 0 or facts.packed or (same_request is not None and same_request.packed),
        losses=losses,
        opening_hash=row.first_token_hash if same_request is None else same_request.opening_hash,
        opening_tokens=row.real if same_request is None else same_request.opening_tokens,
        suspect_offset=suspect[0],
        suspect_limit=suspect[1],
    )


def _kept(state: RowState | None) -> int:
    return state.masked_pads if state is not None else 0


def _offset(
    row: RowFacts, state: RowState | None, move: Move, facts: ForwardFacts, profile: ModelProfile
) -> int | None:
    """The offset that the next call must start with; what moved keeps its old one, so that it stays reported."""
    if row.resets > 0 or facts.packed or row.first_offset == ABSENT or row.last_offset == ABSENT:
        return None
    drift = row.last_offset - row.first_offset
    kept = (
        state is not None and state.offset is not None and (move in (Move.MOVED, Move.RAN_ON) or _suspected(row, state))
    )
    if kept and state is not None and state.offset is not None:
        return state.offset + drift
    if profile.scheme == MROPE and row.last_position != row.max_position:
        return None  # the call ends inside an image: where text goes on depends on the image's size
    return row.last_offset


def _suspected(row: RowFacts, state: RowState) -> bool:
    return state.suspect_offset is not None and row.first_offset == state.suspect_offset


def _token_offset(row: RowFacts, facts: ForwardFacts) -> int | None:
    if row.cache_tokens == ABSENT:
        return None
    return row.last_position - (row.cache_tokens + facts.queries - max(row.right_pads, 0) - 1)


def _lowest(row: RowFacts, state: RowState | None, before: int, seen: bool) -> int:
    if state is not None and state.lowest_position != ABSENT:
        return min(state.lowest_position, row.min_position) if seen else state.lowest_position
    return row.min_position - before if seen else ABSENT


def _suspect(row: RowFacts, state: RowState | None, move: Move) -> tuple[int | None, int]:
    """Remember the first size at which tokens left while positions ran on; an evicting cache stays within it."""
    if state is None:
        return None, 0
    if move is Move.RAN_ON:
        limit = state.suspect_limit if state.suspect_offset is not None else (state.tokens or state.real)
        return row.first_offset, limit
    return (state.suspect_offset, state.suspect_limit) if _suspected(row, state) else (None, 0)
