"""Where the keys of a call stand in their sequence: what a query's own key is, which are padding, whose they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.probe.attention.contract import PassContext
from locant.probe.attention.rows import Rows


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of the key tensor for sampled rows of N sequences.

    `own` int64 [N, R]: the column that holds the query's own key; `newest` int64 [N, R], the last column in use (a
    static cache has more); `opening` int64 [N, R], the column of the first real key of the row's request, -1 where it
    is no longer stored; `padding` bool [N, K] and `request` int64 [N, K] where they are known; `first_stored`: the
    number of the key in column 0 (more than 0 in a sliding cache). `located` is False where columns and tokens cannot
    be matched, `complete` when every key since the first is stored.
    """

    own: Tensor
    newest: Tensor
    opening: Tensor
    padding: Tensor | None
    request: Tensor | None
    first_stored: int | Tensor
    located: bool
    complete: bool


def lay_out(context: PassContext, keys: int, rows: Rows) -> Layout:
    """The layout of a call with `keys` keys. Caches keep the newest key last, or at its place when they have room left.

    A cache of `cached` tokens before the call: query 0 stands at column min(cached, K - Q). That holds for a cache that
    grows (K = cached + Q), one that forgets (K smaller), and one with room left (K larger). Caches that count every
    sequence by itself forget nothing.
    """
    spare = keys - context.queries
    cached = context.cached
    if cached is None and spare == 0:
        cached = 0
    if cached is None or spare < 0:
        nowhere = torch.zeros_like(rows.queries)
        return Layout(nowhere, nowhere, nowhere, None, None, 0, located=False, complete=False)
    if isinstance(cached, Tensor):
        cached = cached.to(rows.queries.device)
        standing = cached.clamp(max=spare)
        offset: int | Tensor = rows.of(standing)[:, None] if cached.dim() else standing
        first: int | Tensor = 0 if cached.dim() else cached - standing
    else:
        offset, first = min(cached, spare), max(cached - spare, 0)
    own = rows.queries + offset
    last = offset + context.queries - 1
    padding = _columns(context.key_padding, rows, first, keys, False)
    request = _columns(context.key_request, rows, first, keys, -1)
    return Layout(
        own=own,
        newest=torch.full_like(own, last) if isinstance(last, int) else torch.zeros_like(own) + last,
        opening=_opening(own, padding, request, first),
        padding=padding,
        request=request,
        first_stored=first,
        located=True,
        complete=isinstance(first, int) and first == 0,
    )


def _columns(known: Tensor | None, rows: Rows, first: int | Tensor, keys: int, rest: bool | int) -> Tensor | None:
    """What is known per token [B, tokens], for the columns of the key tensor [N, keys]; `rest` beyond its end."""
    if known is None:
        return None
    table = rows.of(known)
    if isinstance(first, int):
        table = table[:, first : first + keys]
        return (
            table if table.shape[1] == keys else torch.nn.functional.pad(table, (0, keys - table.shape[1]), value=rest)
        )
    column = torch.arange(keys, device=table.device) + first
    found = table[:, column.clamp_max(table.shape[1] - 1)]
    return torch.where(column < table.shape[1], found, rest)


def _opening(own: Tensor, padding: Tensor | None, request: Tensor | None, first_stored: int | Tensor) -> Tensor:
    """See `Layout.opening`."""
    if request is not None:
        ours = request[:, None] == request.gather(1, own)[:, :, None]
        if padding is not None:
            ours = ours & ~padding[:, None]
        return ours.to(torch.uint8).argmax(-1)
    start = torch.zeros_like(own)
    if padding is not None:
        start += (~padding).to(torch.uint8).argmax(1, keepdim=True)
    if isinstance(first_stored, int):
        return start.fill_(-1) if first_stored else start
    return torch.where(first_stored > 0, -1, start)
