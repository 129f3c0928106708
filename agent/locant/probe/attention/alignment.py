"""Which keys a query sees in flash-attn's kernels: a band around its own key, in its request or stretch of a cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from locant.probe.attention.calls import KernelCall


@dataclass(frozen=True, slots=True)
class Band:
    """How far a query sees: `left` keys back and `right` keys ahead; None is no limit."""

    left: int | None
    right: int | None

    def lets(self, back: Tensor) -> Tensor:
        """Whether keys so many places before the query's own may be seen."""
        seen = torch.ones_like(back, dtype=torch.bool)
        if self.left is not None:
            seen = seen & (back <= self.left)
        return seen if self.right is None else seen & (back >= -self.right)


def band(causal: bool, window: tuple[int | None, int | None] | None) -> Band:
    """The band of flash-attn's `causal` and `window_size`: -1 is no limit, and causal sees nothing ahead."""
    left, right = (None if end is None or end < 0 else int(end) for end in window or (None, None))
    return Band(left, 0 if causal else right)


def banded(call: KernelCall, limits: Band, offset: int) -> KernelCall:
    """The call with limits that its kernel keeps by itself, query 0 at column `offset`."""
    if limits.right is None and limits.left is None:
        return call
    if limits.right is None:
        alignment = CacheAlignment(*(torch.full((call.batch,), n, device=call.device) for n in (offset, call.keys)))
        return replace(call, allows=allowing(alignment, limits))
    window = limits.left + limits.right + 1 if limits.left is not None else None
    return replace(call, diagonal=offset + limits.right, window=window)


class Alignment(Protocol):
    """How queries and keys of a call lie beside each other; index tensors broadcast."""

    def back(self, sequence: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Places from the key to the query's own."""
        ...

    def usable(self, sequence: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Whether the key is one of the query's own sequence."""
        ...


@dataclass(frozen=True, slots=True)
class CacheAlignment:
    """Query 0 stands at column `offset`, int64 [B]; columns [`first`, `used`) hold keys."""

    offset: Tensor
    used: Tensor
    first: Tensor | None = None

    def back(self, sequence: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """See `Alignment`."""
        return query + self.offset[sequence] - key

    def usable(self, sequence: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """See `Alignment`."""
        held = key < self.used[sequence]
        return held if self.first is None else held & (key >= self.first[sequence])


@dataclass(frozen=True, slots=True)
class PackedAlignment:
    """The request of every token (-1: none) and how many of its tokens are left from there on, int64 [tokens] each.

    Requests are aligned at their ends. Tokens of no request are left alone by the kernels.
    """

    request_q: Tensor
    left_q: Tensor
    request_k: Tensor
    left_k: Tensor

    def back(self, sequence: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """See `Alignment`."""
        return self.left_k[key] - self.left_q[query]

    def usable(self, sequence: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """See `Alignment`."""
        mine = self.request_q[query]
        return (mine == self.request_k[key]) & (mine >= 0)


def allowing(alignment: Alignment, limits: Band) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The two as a mask function of (sequence, head, query, key)."""

    def allows(sequence: Tensor, _: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return alignment.usable(sequence, query, key) & limits.lets(alignment.back(sequence, query, key))

    return allows


def packed_by_lengths(queries: Tensor, keys: Tensor, tokens: int) -> PackedAlignment:
    """From cumulative lengths of the requests' queries and keys, int [requests + 1]."""
    mine = _place(queries, tokens)
    return PackedAlignment(*mine, *(mine if keys is queries else _place(keys, tokens)))


def packed_by_starts(starts: Tensor) -> PackedAlignment:
    """From flags of the tokens at which a request begins, bool [tokens]."""
    request = starts.long().cumsum(0) - 1
    left = -torch.arange(starts.shape[0], device=starts.device)
    return PackedAlignment(request, left, request, left)


def _place(cumulative: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    bounds = cumulative.long().contiguous()
    token = torch.arange(tokens, device=bounds.device)
    request = torch.searchsorted(bounds, token, right=True) - 1
    left = bounds[(request + 1).clamp_max(len(bounds) - 1)] - token
    return torch.where(request < len(bounds) - 1, request, -1), left
