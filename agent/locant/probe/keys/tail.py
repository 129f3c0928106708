"""The newest keys of a cache, cut out after a pass: one layer, one head, a few rows, a few slots."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

ROWS = 8
SLOTS = 5
"""The newest keys that are remembered of a row: a call of one token and four to fall back to after a rollback."""
CACHES = 64
"""Caches whose newest keys are remembered; the least recently used leave first."""
_LAYERS = 8
_ATTENDING = ("full_attention", "sliding_attention")


class Tail(NamedTuple):
    """The newest keys of a cache as a pass left them, [rows, up to SLOTS, head size], the newest last.

    A tuple, for it is made in every pass. `slots`: how many of a row. `tokens`: what the cache then held by its own
    count; None where only the device knows.
    """

    pass_number: int
    tokens: int | None
    slots: int
    keys: Tensor


def stored_keys(layer: Any) -> tuple[Tensor, torch.Size] | None:
    """Keys [B, heads, slots, size] of a layer of a cache and their shape; None for forms that are not known."""
    keys = getattr(layer, "keys", None)
    if not isinstance(keys, Tensor) or not keys.is_floating_point():
        return None
    shape = keys.shape
    return (keys, shape) if len(shape) == 4 and 0 not in shape else None


def filled(slots: int, cached: int | Tensor, queries: int) -> int | Tensor:
    """Slots in use after a call: all of a growing cache, the counted ones of a static one."""
    return min(slots, cached + queries) if isinstance(cached, int) else (cached + queries).clamp_max(slots)


def cut(keys: Tensor, shape: torch.Size, end: int | Tensor, count: int) -> Tensor:
    """A copy of the `count` slots before `end` in the first head, [rows, count, size]. Does not wait for the device.

    One operation. `shape` is that of the keys; what can be told from it is not asked of torch again: in a pass each
    question costs microseconds, because nothing of the answer is in the processor's caches.
    """
    if not isinstance(end, int):
        slots = torch.arange(-count, 0, device=keys.device) + end
        return keys[:ROWS, 0].index_select(1, slots.clamp_min(0))
    first = end - count if end > count else 0
    rows, heads, slots_held, size = shape
    if keys.is_contiguous():
        row, slot, channel, offset = heads * slots_held * size, size, 1, keys.storage_offset()
    else:
        (row, _, slot, channel), offset = keys.stride(), keys.storage_offset()
    wanted = (rows if rows < ROWS else ROWS, end - first, size)
    return torch.as_strided_copy(keys, wanted, (row, slot, channel), offset + first * slot)


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
