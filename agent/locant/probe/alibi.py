"""The ALiBi bias a model hands to its layers, beside the published slopes; and the positions that it stands for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_WINDOW = 9
_SLOPE_ROUNDING = 2.0**-8
"""What a slope legally loses when a family keeps it in bfloat16."""


def bias_rows(bias: Any, heads: int) -> Tensor | None:
    """An ALiBi tensor as [B', heads, K] ([B*H, 1, K], [B, H, 1, K] and [H, 1, K] are in use); None for other shapes."""
    if not isinstance(bias, Tensor) or not bias.is_floating_point() or bias.dim() not in (3, 4) or bias.shape[-2] != 1:
        return None
    keys = bias.shape[-1]
    return bias.detach().reshape(-1, heads, keys) if keys and bias.numel() % (heads * keys) == 0 else None


def measure(rows: Tensor, slopes: Tensor, steepest: int, kept: Tensor | None) -> Tensor:
    """float64 [2] on the device: largest relative slope error, tie ratio in the steepest head.

    Slopes are read where the bias is nearest to zero, for there it is most exact: from the first keys in families
    that count up from the first key, from the last ones in those that count down to the last. `slopes` float64 [H];
    `kept` bool [B, K] or None: only neighbours that are both kept can tie. A table of its own length, the same for
    every sequence, is measured whatever is kept.
    """
    if rows.shape[-1] < 2:
        return torch.zeros(2, dtype=torch.float64, device=rows.device)
    same = rows[:, steepest, 1:] == rows[:, steepest, :-1]
    pairs = torch.ones_like(same)
    if kept is not None and (kept.shape[1] == rows.shape[-1] or rows.shape[0] > 1):
        if kept.shape != rows[:, 0].shape:
            return torch.zeros(2, dtype=torch.float64, device=rows.device)
        pairs = kept[:, 1:] & kept[:, :-1]
    head, tail = rows[..., :_WINDOW].double(), rows[..., -_WINDOW:].double()
    rising = _largest_step(head, pairs[:, : _WINDOW - 1])
    falling = _largest_step(tail, pairs[:, 1 - _WINDOW :])
    near_start = head[..., 0].abs().amax() <= tail[..., -1].abs().amax()
    found = torch.where(near_start, rising, falling)
    counted = torch.where(near_start, pairs[:, : _WINDOW - 1].any(), pairs[:, 1 - _WINDOW :].any())
    error = torch.where(counted, found / slopes - 1, 0).abs().amax() - _SLOPE_ROUNDING
    ties = (same & pairs).sum().double() / pairs.sum().clamp_min(1)
    return torch.stack([error.clamp_min(0), ties])


def _largest_step(values: Tensor, pairs: Tensor) -> Tensor:
    """Per head, the largest step between neighbouring kept keys, with its sign; the bias rises towards later keys.

    `values` [B', H, n], `pairs` bool [B', n - 1].
    """
    steps = (values[..., 1:] - values[..., :-1]) * pairs[:, None]
    return _larger(steps.amax(-1).amax(0), steps.amin(-1).amin(0))


def _larger(rise: Tensor, fall: Tensor) -> Tensor:
    return torch.where(rise >= -fall, rise, fall)


def positions_from(rows: Tensor, slope: float, steepest: int, cached: int | Tensor, queries: int) -> Tensor | None:
    """Effective positions of this call's queries, int64 [B', Q], from a float32 bias that counts up from the first key.

    The smallest step between the first keys is the unit, so that a wrong slope is no wrong position (padding on the
    right falls back by many at once); a bias without steps says nothing of positions, and the columns stand in. A bias
    shorter than cache and call, which broadcasts without an error, shows here as positions that restart.
    """
    if rows.dtype not in (torch.float32, torch.float64) or rows.shape[-1] < queries:
        return None
    spare = rows.shape[-1] - queries
    values = rows[:, steepest]
    start = cached.clamp(0, spare) if isinstance(cached, Tensor) else min(cached, spare)
    column = torch.arange(queries, device=rows.device) + start
    values = values.index_select(1, column)
    if rows.shape[-1] < 2:
        return (values / slope).round().long()
    steps = rows[:, steepest, 1:_WINDOW] - rows[:, steepest, : _WINDOW - 1][:, : rows.shape[-1] - 1]
    smallest = steps.abs().masked_fill(steps == 0, torch.inf).amin()
    unit = torch.where(steps.amax() > 0, smallest, -smallest)
    return torch.where(smallest.isfinite(), values / unit, column).round().long()
