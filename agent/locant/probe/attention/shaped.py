"""Attention whose scores are changed and hidden by functions of their place: FlexAttention, ALiBi inside a kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from locant.probe.attention.calls import SURELY_VISIBLE, KernelCall, Sight
from locant.probe.attention.rows import HIDDEN, Rows, is_hidden

_SCORES_AT_A_TIME = 1 << 20
"""What may be hidden by a function of the scores is computed for so many of them at once: four mebibytes."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where scores stand: index tensors that broadcast to [N, R, H, C]: sequence, head, query column, key column."""

    sequences: Tensor
    heads: Tensor
    queries: Tensor
    keys: Tensor


@dataclass(frozen=True, slots=True)
class ShapedCall:
    """`plain`, which knows no mask of its own, then `change` of its scores, then what `allows` lets through.

    `change` takes float32 scores [N, R, H, C] and gives them as they enter the softmax; it hides keys by -inf, if at
    all: `hides` says whether it may. `allows` gives a bool that broadcasts to the same shape.
    """

    plain: KernelCall
    change: Callable[[Tensor, Places], Tensor] | None = None
    allows: Callable[[Places], Tensor] | None = None
    hides: bool = True
    first_head: int = 0

    @property
    def heads(self) -> int:
        """Query heads."""
        return self.plain.heads

    @property
    def keys(self) -> int:
        """Columns of the key tensor."""
        return self.plain.keys

    @property
    def batch(self) -> int:
        """Sequences."""
        return self.plain.batch

    @property
    def device(self) -> torch.device:
        """Where queries and keys are."""
        return self.plain.device

    @property
    def sinks(self) -> Tensor | None:
        """See `Attention`."""
        return self.plain.sinks

    def only(self, head: int) -> ShapedCall:
        """See `Attention`."""
        return replace(self, plain=self.plain.only(head), first_head=self.first_head + head)

    def scores(self, rows: Rows, start: int, stop: int) -> Tensor:
        """See `Attention`."""
        return self._open(rows, start, stop).clamp_min_(HIDDEN)

    def reach(self, rows: Rows) -> list[int] | None:
        """See `Attention`: functions do not say it."""
        return None

    def sight(self, rows: Rows) -> Sight:
        """See `Attention`. By the functions alone where scores cannot tell more."""
        step = max(_SCORES_AT_A_TIME // (rows.queries.numel() * self.heads), 64)
        parts = [self._seen(rows, start, min(start + step, self.keys)) for start in range(0, self.keys, step)]
        return Sight(torch.cat([part.visible for part in parts], 2), torch.cat([part.hidden for part in parts], 2))

    def _seen(self, rows: Rows, start: int, stop: int) -> Sight:
        if self.change is not None and self.hides:
            found = self._open(rows, start, stop)
            return Sight((found > SURELY_VISIBLE).any(2), is_hidden(found).all(2))
        visible = torch.ones((*rows.queries.shape, stop - start), dtype=torch.bool, device=self.device)
        if self.allows is not None:
            visible = visible & self.allows(self._places(rows, start, stop)).any(2)
        return Sight(visible, ~visible)

    def _open(self, rows: Rows, start: int, stop: int) -> Tensor:
        """Scores with -inf where a key is hidden."""
        found, places = self.plain.scores(rows, start, stop), self._places(rows, start, stop)
        if self.change is not None:
            found = self.change(found, places).float()
        return found if self.allows is None else found.masked_fill(~self.allows(places), -torch.inf)

    def _places(self, rows: Rows, start: int, stop: int) -> Places:
        heads = torch.arange(self.first_head, self.first_head + self.heads, device=self.device)
        keys = torch.arange(start, stop, device=self.device)
        return Places(rows.index()[:, :, None, None], heads[:, None], rows.queries[:, :, None, None], keys)
