"""The sampled query rows of a pass, and the numbers that choose them without touching any global state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_MIX = (0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9)
"""Odd multipliers of the integer hash; int64 products wrap."""
_SURELY_HIDDEN = -1e8
HIDDEN = -1e5
"""The score of a key that a mask takes away. Its weight is 0 and it is finite: -inf times 0 would be no number."""


@dataclass(frozen=True, slots=True)
class Rows:
    """R query rows of each of N sequences, on the device.

    `sequences` int64 [N], or None for all of the batch in order; `queries` int64 [N, R], columns of the query tensor;
    `weights` float32 [N, R], how many rows each stands for (0: looked at, but not counted).
    """

    sequences: Tensor | None
    queries: Tensor
    weights: Tensor

    def since(self, first: int) -> Rows:
        """The rows of every sequence without the first ones."""
        return self if not first else Rows(self.sequences, self.queries[:, first:], self.weights[:, first:])

    def of(self, per_sequence: Tensor) -> Tensor:
        """`per_sequence` [B, ...] at this sample's sequences, [N, ...]."""
        return per_sequence if self.sequences is None else per_sequence[self.sequences]

    def index(self) -> Tensor:
        """Sequence numbers as int64 [N, 1], to index a batch together with `queries`."""
        if self.sequences is not None:
            return self.sequences[:, None]
        return torch.arange(self.queries.shape[0], device=self.queries.device)[:, None]


def uniform(seed: int, shape: tuple[int, int], device: torch.device) -> Tensor:
    """float64 numbers in [0, 1) of a shape, the same for a seed on every device; nothing is copied to the device."""
    state = torch.arange(1, shape[0] * shape[1] + 1, device=device).mul_(_MIX[0]).add_((seed * _MIX[1]) % (1 << 62))
    for shift in (30, 27, 31):
        state.bitwise_xor_(state >> shift).mul_(_MIX[1])
    return (state >> 11).bitwise_and_(0xFFFFFFFF).double().mul_(2.0**-32).view(shape)


def rows_of(table: Tensor, rows: Rows, start: int, stop: int) -> Tensor:
    """Rows and keys [N, R | 1, H | 1, stop - start] of a table [B | 1, H | 1, Q | 1, K | more | 1]."""
    part = table if table.shape[3] == 1 else table[..., start:stop]
    if part.shape[0] > 1:
        found = rows.of(part[:, :, 0])[:, None] if part.shape[2] == 1 else part[rows.index(), :, rows.queries]
    elif part.shape[2] == 1:
        found = part[:, :, 0][:, None]
    else:
        found = part[0][:, rows.queries].permute(1, 2, 0, 3)
    return found.expand(*found.shape[:3], stop - start)


def is_hidden(mask: Tensor) -> Tensor:
    """Whether values of an additive mask take a key away for sure: -inf, the lowest number, -1e9."""
    return mask <= max(torch.finfo(mask.dtype).min / 2, _SURELY_HIDDEN)
