"""What the reduction of a pass starts from: what the pass was given and did, and what holds for all of a model's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class RowRules:
    """What holds for every pass of a model. `pad_starts`, `pad_ends`: the pad id also opens, closes real sequences.
    `special_below`: ids below it may be special tokens; what is above is taken for words.
    """

    base: int = 0
    pad_id: int | None = None
    pad_starts: bool = False
    pad_ends: bool = False
    separator_id: int | None = None
    special_below: int = 0
    token_types: int = 0
    salt: int = 0


@dataclass(slots=True)
class RowInputs:
    """What one pass was given and did. Q queries of B sequences, everything on one device. Treated as a value.

    `ids` int [B, Q]; `positions` int [1|B, Q] or [axes, 1|B, Q], as they reached the table or the rotary module; `mask`
    any dtype [1|B, L], non-zero keeps, L = Q or cached + Q or more; `split`: what of it matters, where that is all that
    is there (see `masks.split_mask`); `opaque_mask`: there is another mask that cannot be
    read per token; `cached` tokens before this call, an int or an integer tensor of no dimension; `token_types` int
    [1|B, Q]; `starts` bool [B, Q]: whether the n-th real token of the row opens a declared segment.
    """

    batch: int
    queries: int
    device: torch.device
    ids: Tensor | None = None
    positions: Tensor | None = None
    mask: Tensor | None = None
    split: tuple[Tensor, Tensor] | None = None
    opaque_mask: bool = False
    cached: int | Tensor = 0
    token_types: Tensor | None = None
    starts: Tensor | None = None

    @property
    def masked(self) -> bool:
        """Whether there is a mask that says of each token whether it counts."""
        return self.mask is not None or self.split is not None
