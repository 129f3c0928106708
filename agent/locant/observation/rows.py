"""One sequence in one forward pass, as integers."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class RowField(IntEnum):
    """Columns of the integer tensor that one forward pass reduces to on the device, one row per sequence.

    "Real" tokens are those that the caller's 2-D mask keeps; without such a mask, those outside the runs of the pad id
    at the row's ends. `offset` of a token is its effective position minus the number of real tokens before it in the
    sequence, cached ones included. Of several position axes (M-RoPE) the first counts for offsets and steps, all of
    them for MIN and MAX. `ABSENT` stands where there is nothing to say.
    """

    REAL = 0  # real tokens in this call
    LEFT_PADS = 1  # masked (or pad id) tokens before the first real one, in this call
    RIGHT_PADS = 2  # ... after the last real one
    MASK_HOLES = 3  # masked tokens between real ones, in this call
    UNMASKED_LEFT_PADS = 4  # run of the pad id at the start that no mask covers
    UNMASKED_RIGHT_PADS = 5  # ... at the end
    REAL_BEFORE = 6  # real tokens of this sequence that the cache holds before this call
    CACHE_TOKENS = 7  # tokens of this sequence that the cache counts before this call, padding included
    FIRST_POSITION = 8  # effective position of the first real token
    LAST_POSITION = 9
    MIN_POSITION = 10  # over real tokens, all position axes
    MAX_POSITION = 11
    FIRST_OFFSET = 12  # offset of the first real token
    LAST_OFFSET = 13
    JUMPS = 14  # real tokens side by side whose position differs by something else than +1 (repeats too) and no reset
    RESETS = 15  # real tokens side by side where the position falls back to the first token's or to the family's base
    REPEATS = 16  # real tokens side by side with the same position
    SEGMENTS_SEEN = 17  # distinct token type ids among real tokens; ABSENT when the model has none
    SEPARATORS = 18  # separator tokens among real tokens; ABSENT when the separator is not known
    BOUNDARY_MISSES = 19  # declared segment starts whose position is not the row's first position
    FIRST_TOKEN_HASH = 20  # order-sensitive 31-bit hash of this call's real tokens: equality only, not reversible
    # From here on: of sampled queries, the largest over layers; ABSENT unless sampled.
    WINDOW_EXCESS = 21  # keys seen beyond the configured window
    WINDOW_DEFICIT = 22  # keys inside the window, real and not later, that no one sees; ABSENT unless full-length rows
    FUTURE_VISIBLE = 23  # later keys that a causal layer lets through
    SELF_BLIND = 24  # queries that cannot see themselves
    PADS_VISIBLE = 25  # pad keys that a real query may attend to
    CROSS_VISIBLE = 26  # keys of another request (before a reset or a declared boundary) that a query may attend to
    FUTURE_HIDDEN = 27  # later keys that every query is kept from, in a layer that looks both ways


ABSENT = -(2**31)
"""Stands in a row where a fact could not be observed. Never a healthy value, never an alarm."""


class RowFacts(NamedTuple):
    """One sequence in one forward pass, fields as in `RowField`."""

    real: int
    left_pads: int
    right_pads: int
    mask_holes: int
    unmasked_left_pads: int
    unmasked_right_pads: int
    real_before: int
    cache_tokens: int
    first_position: int
    last_position: int
    min_position: int
    max_position: int
    first_offset: int
    last_offset: int
    jumps: int
    resets: int
    repeats: int
    segments_seen: int
    separators: int
    boundary_misses: int
    first_token_hash: int
    window_excess: int
    window_deficit: int
    future_visible: int
    self_blind: int
    pads_visible: int
    cross_visible: int
    future_hidden: int
