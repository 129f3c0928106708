"""What is kept of one request between two calls: about 250 bytes."""

from __future__ import annotations

from typing import NamedTuple

from locant.observation import ABSENT


class RowState(NamedTuple):
    """A request as its last call left it. A tuple, because one is made for every row of every call.

    `offset` is position minus real tokens before it, as the next call must continue it (None: nothing to hold the
    next call against). `token_offset` is the same with padding counted, for callers that give no mask. `tokens` and
    `real` are what the cache should hold before the next call. A request whose cache shrank while its positions ran
    on is either evicting (legal) or rolled back without its positions: `suspect_offset` is the offset since then, and
    `suspect_limit` the size that an evicting cache would never pass again. `losses` counts the gaps in the model's
    passes until then: behind a gap anything may have happened to the cache. `opening_hash` and `opening_tokens` tell
    the request's first call again when it comes back.
    """

    offset: int | None
    token_offset: int | None
    tokens: int | None
    real: int
    last_position: int
    lowest_position: int
    queries: int
    passes: int
    masked: bool
    masked_pads: int = 0
    open_pads: int = 0
    packed: bool = False
    losses: int = 0
    opening_hash: int = 0
    opening_tokens: int = 0
    suspect_offset: int | None = None
    suspect_limit: int = 0


NOTHING = RowState(None, None, None, 0, ABSENT, ABSENT, 0, 0, False)
"""Before a request's first call."""
