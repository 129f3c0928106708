"""One attention call as its kernel computes it: queries, keys, and all that shapes the weights between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from locant.probe.attention.rows import HIDDEN, Rows, is_hidden, rows_of

SURELY_VISIBLE = -1e3
"""A mask value above this takes no key away; below it an old-style mask of -10000 may hide, or a bias may be steep."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Which keys the rows may attend to, bool [N, R, K]. A key in neither is masked by a value that settles nothing."""

    visible: Tensor
    hidden: Tensor


class Attention(Protocol):
    """An attention call of which single query rows can be read."""

    @property
    def heads(self) -> int:
        """Query heads."""
        ...

    @property
    def keys(self) -> int:
        """Columns of the key tensor."""
        ...

    @property
    def batch(self) -> int:
        """Sequences."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the call's tensors are."""
        ...

    @property
    def sinks(self) -> Tensor | None:
        """Scores per head that enter the softmax without being keys."""
        ...

    def only(self, head: int) -> Attention:
        """The same call with one of its heads."""
        ...

    def scores(self, rows: Rows, start: int, stop: int) -> Tensor:
        """Scores before the softmax, masked: float32 [N, R, H, stop - start], a tensor of its own in any order."""
        ...

    def reach(self, rows: Rows) -> list[int] | None:
        """The last column that the n-th row of any sequence sees, where the kernel itself is causal; None: unknown."""
        ...

    def sight(self, rows: Rows) -> Sight:
        """What the rows may attend to, from the masks alone where that is possible."""
        ...


@dataclass(frozen=True, slots=True)
class KernelCall:
    """Attention computed from queries [B, H, Q, D] and keys [B, G, K, D]; H is a multiple of G.

    `mask` (bool keeps, a number is added) and `bias` (added) broadcast against [B, H, Q, K]; a longer mask is cut.
    `diagonal`: the kernel itself hides key j from query i when j > i + diagonal; `window`: and when j <= i + diagonal -
    window. `softcap` bounds scores before masks. `sinks` [H] take part in the softmax without being keys.
    `allows(batch, head, query, key)` is FlexAttention's mask function on index tensors.
    """

    query: Tensor
    key: Tensor
    scale: float
    mask: Tensor | None = None
    bias: Tensor | None = None
    diagonal: int | None = None
    window: int | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    allows: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None = None

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.query.shape[1]

    @property
    def keys(self) -> int:
        """Columns of the key tensor."""
        return self.key.shape[2]

    @property
    def batch(self) -> int:
        """Sequences."""
        return self.query.shape[0]

    @property
    def device(self) -> torch.device:
        """Where queries and keys are."""
        return self.query.device

    def only(self, head: int) -> KernelCall:
        """See `Attention`."""
        group = head // (self.query.shape[1] // self.key.shape[1])
        return replace(
            self,
            query=self.query[:, head : head + 1],
            key=self.key[:, group : group + 1],
            mask=_of_head(self.mask, head),
            bias=_of_head(self.bias, head),
            sinks=self.sinks[head : head + 1] if self.sinks is not None else None,
        )

    def scores(self, rows: Rows, start: int, stop: int) -> Tensor:
        """See `Attention`. Products and sums in float32 whatever the inputs are."""
        found = self._products(rows, start, stop)
        if self.softcap is not None:
            found = found.div_(self.softcap).tanh_().mul_(self.softcap)
        for added in (self.bias, self.mask):
            if added is not None:
                part = rows_of(added, rows, start, stop)
                kept = part.dtype == torch.bool
                found = found.clamp_max_(_ceiling(~part)) if kept else found.add_(part.float().clamp_min(HIDDEN))
        barred = self._barred(rows, start, stop)
        return found if barred is None else found.clamp_max_(_ceiling(barred)[:, :, None])

    def reach(self, rows: Rows) -> list[int] | None:
        """See `Attention`."""
        if self.diagonal is None or self.device.type != "cpu":
            return None
        return [int(last) for last in (rows.queries.amax(0) + self.diagonal).tolist()]

    def sight(self, rows: Rows) -> Sight:
        """See `Attention`."""
        visible = torch.ones((*rows.queries.shape, self.keys), dtype=torch.bool, device=self.device)
        hidden = ~visible
        if self.mask is not None:
            part = rows_of(self.mask, rows, 0, self.keys)
            low = part if part.dtype == torch.bool else part > SURELY_VISIBLE
            high = ~part if part.dtype == torch.bool else is_hidden(part)
            visible, hidden = visible & low.any(2), hidden | high.all(2)
        barred = self._barred(rows, 0, self.keys)
        return Sight(visible, hidden) if barred is None else Sight(visible & ~barred, hidden | barred)

    def refused(self, rows: Rows, start: int = 0, stop: int | None = None) -> Tensor:
        """Keys that `allows` takes away, bool [N, R, stop - start]."""
        assert self.allows is not None
        keys = torch.arange(start, self.keys if stop is None else stop, device=self.device)
        batch, head = rows.index()[:, :, None], torch.zeros((), dtype=torch.int64, device=self.device)
        return (~self.allows(batch, head, rows.queries[:, :, None], keys)).expand(*rows.queries.shape, len(keys))

    def _products(self, rows: Rows, start: int, stop: int) -> Tensor:
        keys = rows.of(self.key[:, :, start:stop]).float()
        (count, sampled), (heads, groups) = rows.queries.shape, (self.heads, keys.shape[1])
        grouped = self._queries(rows).view(count, groups, heads // groups * sampled, -1)
        found = grouped @ keys.transpose(-1, -2)
        return found.view(count, heads, sampled, stop - start).transpose(1, 2)

    def _queries(self, rows: Rows) -> Tensor:
        """The sampled queries, scaled: float32 [N, H, R, D]."""
        if self.batch == 1 and rows.sequences is None:
            found = self.query.index_select(2, rows.queries[0])
        else:
            head = torch.arange(self.heads, device=self.device)[:, None]
            found = self.query[rows.index()[:, :, None], head, rows.queries[:, None]]
        return found.float() * self.scale

    def _barred(self, rows: Rows, start: int, stop: int) -> Tensor | None:
        """Keys that the kernel hides by itself, bool [N, R, stop - start]; None when it hides nothing."""
        keys = torch.arange(start, stop, device=self.device)
        barred = None
        if self.diagonal is not None:
            newest = (rows.queries + self.diagonal)[:, :, None]
            barred = keys > newest
            if self.window is not None:
                barred = barred | (keys <= newest - self.window)
        if self.allows is not None:
            refused = self.refused(rows, start, stop)
            barred = refused if barred is None else barred | refused
        return None if barred is None else barred.expand(*rows.queries.shape, stop - start)


@dataclass(frozen=True, slots=True)
class ScoredCall:
    """Attention whose module has all scores at hand: [B, H, Q, K] before the softmax, masks and biases included."""

    given: Tensor
    sinks: Tensor | None = None

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.given.shape[1]

    @property
    def keys(self) -> int:
        """Columns of the scores."""
        return self.given.shape[3]

    @property
    def batch(self) -> int:
        """Sequences."""
        return self.given.shape[0]

    @property
    def device(self) -> torch.device:
        """Where the scores are."""
        return self.given.device

    def only(self, head: int) -> ScoredCall:
        """See `Attention`."""
        return ScoredCall(
            self.given[:, head : head + 1], self.sinks[head : head + 1] if self.sinks is not None else None
        )

    def scores(self, rows: Rows, start: int, stop: int) -> Tensor:
        """See `Attention`."""
        found = rows_of(self.given, rows, start, stop)
        return found.float().clamp_min(HIDDEN)

    def reach(self, rows: Rows) -> list[int] | None:
        """See `Attention`: scores do not say it."""
        return None

    def sight(self, rows: Rows) -> Sight:
        """See `Attention`. Visible: the score is one that a mask cannot have lowered."""
        part = rows_of(self.given, rows, 0, self.keys)
        return Sight((part > SURELY_VISIBLE).any(2), is_hidden(part).all(2))


def _ceiling(hidden: Tensor) -> Tensor:
    """What scores are bounded by, float32: `HIDDEN` where a key is hidden, nothing elsewhere."""
    least, most = (torch.full((), value, dtype=torch.float32, device=hidden.device) for value in (HIDDEN, torch.inf))
    return torch.where(hidden, least, most)


def _of_head(table: Tensor | None, head: int) -> Tensor | None:
    return table if table is None or table.shape[1] == 1 else table[:, head : head + 1]
