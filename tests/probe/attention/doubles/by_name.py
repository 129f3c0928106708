"""Hand-written attention layers whose file imports its kernels by name, before any watch begins."""

from __future__ import annotations

from typing import Any

import flash_attn
import torch
from flash_attn import flash_attn_func, flash_attn_with_kvcache
from flash_attn import flash_attn_varlen_func as varlen
from torch import Tensor, nn

HEADS, GROUPS, SIZE = 4, 2, 8


class Projections(nn.Module):
    """Queries [B, S, 4, 8], keys and values [B, S, 2, 8] of tokens [B, S, 16]; `given` goes to the kernel."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.query = nn.Linear(16, HEADS * SIZE)
        self.key = nn.Linear(16, GROUPS * SIZE)
        self.value = nn.Linear(16, GROUPS * SIZE)
        self.given = given

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the kernels take."""
        query: Tensor = self.query(x).unflatten(-1, (HEADS, SIZE))
        key, value = (part(x).unflatten(-1, (GROUPS, SIZE)) for part in (self.key, self.value))
        return query, key, value


class Named(Projections):
    """Calls the name that its file imported."""

    def forward(self, x: Tensor) -> Tensor:
        return flash_attn_func(*self.parts(x), **self.given)


class Dotted(Projections):
    """Calls the package's attribute."""

    def forward(self, x: Tensor) -> Tensor:
        return flash_attn.flash_attn_func(*self.parts(x), **self.given)


class KeptInstance(Projections):
    """Keeps the function on itself."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.kernel = flash_attn_func

    def forward(self, x: Tensor) -> Tensor:
        return self.kernel(*self.parts(x), **self.given)


class KeyValuesPacked(Projections):
    """Keys and values in one tensor."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.parts(x)
        return flash_attn.flash_attn_kvpacked_func(query, torch.stack([key, value], 2), **self.given)


class AllPacked(Projections):
    """Queries, keys and values in one tensor, without grouped heads."""

    def forward(self, x: Tensor) -> Tensor:
        parts = [part.repeat_interleave(HEADS // part.shape[2], dim=2) for part in self.parts(x)]
        return flash_attn.flash_attn_qkvpacked_func(torch.stack(parts, 2), **self.given)


class Packed(Projections):
    """A row of requests, whose boundaries the caller gives."""

    def forward(self, x: Tensor, cu_seqlens: Tensor) -> Tensor:
        query, key, value = (part[0] for part in self.parts(x))
        return varlen(query, key, value, cu_seqlens, cu_seqlens, x.shape[1], x.shape[1], **self.given)[None]


class PackedTogether(Projections):
    """The same with everything in one tensor."""

    def forward(self, x: Tensor, cu_seqlens: Tensor) -> Tensor:
        parts = [part[0].repeat_interleave(HEADS // part.shape[2], dim=1) for part in self.parts(x)]
        stacked = torch.stack(parts, 1)
        return flash_attn.flash_attn_varlen_qkvpacked_func(stacked, cu_seqlens, x.shape[1], **self.given)[None]


class Unpadded(Projections):
    """Takes the padding of a batch out before attention and puts it back after; `shift` moves the boundaries."""

    def forward(self, x: Tensor, attention_mask: Tensor, shift: int = 0) -> Tensor:
        kept = attention_mask.bool()
        query, key, value = (part[kept] for part in self.parts(x))
        ends = attention_mask.sum(1).cumsum(0)
        ends[:-1] += shift
        bounds = nn.functional.pad(ends, (1, 0)).int()
        found = torch.zeros(*x.shape[:2], HEADS, SIZE, dtype=x.dtype)
        found[kept] = varlen(query, key, value, bounds, bounds, x.shape[1], x.shape[1], **self.given)
        return found


class Cached(Projections):
    """A decode step on a cache of `room` places for each sequence."""

    def __init__(self, batch: int, room: int, **given: Any) -> None:
        super().__init__(**given)
        self.register_buffer("keys", torch.randn(batch, room, GROUPS, SIZE))
        self.register_buffer("values", torch.randn(batch, room, GROUPS, SIZE))

    def forward(self, x: Tensor, cache_seqlens: int | Tensor) -> Tensor:
        query, key, value = self.parts(x)
        held = (self.keys, self.values, key, value)
        return flash_attn_with_kvcache(query, *held, cache_seqlens=cache_seqlens, **self.given)
