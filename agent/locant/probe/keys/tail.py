"""The newest keys of a cache, cut out after a pass: one layer, one head, a few rows, a few slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROWS = 8
SLOTS = 5
"""The newest keys that are remembered of a row: a call of one token and four to fall back to after a rollback."""
CACHES = 64
"""Caches whose newest keys are remembered; the least recently used leave first."""
_LAYERS = 8
_ATTENDING = ("full_attention", "sliding_attention")


@dataclass(frozen=True, slots=True)
class Tail:
    """The newest keys of a cache as a pass left them, [rows, up to SLOTS, head size], the newest last.

    `tokens`: what the cache then held by its own count; None where only the device knows.
    """

    pass_number: int
    tokens: int | None
    keys: Tensor


def stored_keys(cache: Any, layer: int) -> Tensor | None:
    """Keys [B, heads, slots, size] of a layer of a cache; None for forms that are not known."""
    own = getattr(cache, "self_attention_cache", cache)
    layers = getattr(own, "layers", None)
    if layers is None or not layer < len(layers):
        return None
    keys = getattr(layers[layer], "keys", None)
    known = isinstance(keys, Tensor) and keys.dim() == 4 and keys.is_floating_point() and keys.numel() > 0
    return keys if known else None


def written_by(cache: Any, layer: int) -> tuple[type, type]:
    """The classes that decide what is kept of a key and what attention is handed."""
    own = getattr(cache, "self_attention_cache", cache)
    return type(own), type(own.layers[layer])


def filled(keys: Tensor, cached: int | Tensor, queries: int) -> int | Tensor:
    """Slots in use after a call: all of a growing cache, the counted ones of a static one."""
    slots = keys.shape[2]
    return min(slots, cached + queries) if isinstance(cached, int) else (cached + queries).clamp_max(slots)


def cut(keys: Tensor, end: int | Tensor, count: int) -> Tensor:
    """A copy of the `count` slots before `end` in the first head, [rows, count, size]. Does not wait for the device."""
    rows, size = min(keys.shape[0], ROWS), keys.shape[3]
    row, _, slot, channel = keys.stride()
    if isinstance(end, int):
        first = max(end - count, 0)
        shape, steps = (rows, end - first, size), (row, slot, channel)
        return torch.as_strided_copy(keys, shape, steps, keys.storage_offset() + first * slot)
    slots = torch.arange(-count, 0, device=keys.device) + end
    return keys[:rows, 0].index_select(1, slots.clamp_min(0))


def column(mask: Tensor, index: int) -> Tensor:
    """A copy of one column of a mask's first rows, [1, rows]."""
    rows, (row, step) = min(mask.shape[0], ROWS), mask.stride()
    return torch.as_strided_copy(mask, (1, rows), (row, row), mask.storage_offset() + index * step)


def first_rotating_layer(config: Any) -> int | None:
    """The first of a model's layers that keeps rotated keys; None where the first eight hold none."""
    types, rotates = getattr(config, "layer_types", None), getattr(config, "no_rope_layers", None)
    kinds = types if isinstance(types, (list, tuple)) else ["full_attention"]
    turns = rotates if isinstance(rotates, (list, tuple)) else [1] * len(kinds)
    layers = enumerate(zip(kinds[:_LAYERS], turns, strict=False))
    return next((i for i, (kind, turned) in layers if kind in _ATTENDING and turned), None)
