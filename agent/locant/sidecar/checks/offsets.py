"""Positions that stop following their request: offset changed, cache not reset."""

from __future__ import annotations

from collections.abc import Iterator

from locant.observation import RowFacts
from locant.sidecar.checks.hit import Hit, Pass, first, known, rows_text, signed
from locant.sidecar.checks.keys import turned_along
from locant.sidecar.ledger import Move, RowState
from locant.sidecar.ledger.moves import cache_change, neutral
from locant_slo.findings import FailureMode, Severity


def moved(seen: Pass) -> dict[int, tuple[RowFacts, RowState]]:
    """Rows whose offset changed although their request lives, with what was known of them.

    Not those whose cached keys were turned to lead up to the call: an engine that moves both moves nothing.
    """
    return {
        i: (row, state)
        for i, (row, state, move) in enumerate(zip(seen.rows, seen.states, seen.moves, strict=True))
        if move is Move.MOVED and state is not None and not turned_along(i, row, seen.facts.keys)
    }


def restarted(row: RowFacts, state: RowState, seen: Pass) -> bool:
    """Positions begin again at the start while the cache still holds every token of before."""
    return row.first_position == neutral(seen.profile) and row.real_before > 0 and cache_change(row, state) == 0


def offset_changed(seen: Pass) -> Iterator[Hit]:
    """Position minus real tokens before it changed in the middle of a request."""
    found = {i: pair for i, pair in moved(seen).items() if not restarted(*pair, seen)}
    if not found:
        return
    row, state = next(iter(found.values()))
    expected = row.real_before + (state.offset or 0)
    shift = row.first_position - expected
    yield Hit(
        "offset_changed",
        FailureMode.STREAMING_STATE,
        Severity.PAGE,
        f"Positions moved by {signed(shift)} inside a running request: {rows_text(found, len(seen.rows))} went on "
        f"at position {row.first_position} where {expected} follows from the {row.real_before} tokens before it. "
        f"This is exact, not an estimate. {_cause(row, state, shift)} Compare how the engine computes decode "
        "positions with what the cache holds.",
        {
            "rows": first(found),
            "position": row.first_position,
            "expected_position": expected,
            "shift": shift,
            "tokens_before": row.real_before,
            "cache_tokens": row.cache_tokens,
            "cache_change": cache_change(row, state),
            "phase": seen.facts.phase,
        },
        frozenset(found),
    )


def _cause(row: RowFacts, state: RowState, shift: int) -> str:
    change = cache_change(row, state)
    if change < 0:
        return "The cache was cropped and the positions were not taken back with it."
    if shift < 0 and row.first_position <= state.last_position:
        return "Usual cause: rejected or overlapping tokens stayed in the cache while positions went back."
    if state.masked_pads and shift == state.masked_pads:
        return (
            "The shift equals the row's padding: decode positions come from the shared cache length, not from the row."
        )
    return "Usual cause: decode and prefill number tokens by different rules (off by one, padding, image delta)."


def cache_not_reset(seen: Pass) -> Iterator[Hit]:
    """A request starts on a cache that still holds another one's tokens: at the first position, or with its opening."""
    found = {i: pair for i, pair in moved(seen).items() if restarted(*pair, seen)} or _opened_again(seen)
    if not found:
        return
    row, _ = next(iter(found.values()))
    yield Hit(
        "cache_not_reset",
        FailureMode.STREAMING_STATE,
        Severity.PAGE,
        f"A request starts anew, at position {row.first_position}, while the cache still holds {row.real_before} "
        f"tokens of before ({rows_text(found, len(seen.rows))}): new tokens attend to an earlier request, and its "
        "content may leak. Usual cause: the cache or workspace is not cleared between requests. Reset it, or "
        "continue its positions.",
        {
            "rows": first(found),
            "position": row.first_position,
            "tokens_in_cache": row.real_before,
            "phase": seen.facts.phase,
        },
        frozenset(found),
    )


def _opened_again(seen: Pass) -> dict[int, tuple[RowFacts, RowState]]:
    """Encoder-decoders open every request with the same decoder prompt: all rows repeat theirs on a cache in use."""
    found = {
        i: (r, s) for i, (r, s) in enumerate(zip(seen.rows, seen.states, strict=True)) if s and _repeats_opening(r, s)
    }
    return found if seen.profile.kind == "encoder_decoder" and len(found) == len(seen.rows) else {}


def _repeats_opening(row: RowFacts, state: RowState) -> bool:
    """One token alone may come back by chance or as padding; two or more in place do not."""
    same = known(row.first_token_hash) and row.first_token_hash == state.opening_hash
    return same and row.real == state.opening_tokens >= 2 and cache_change(row, state) == 0
