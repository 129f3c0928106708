"""One forward pass reduced, on the device, to one small integer tensor: a row per sequence, a column per `RowField`.

Pure and vectorised: no value is read back, no control flow depends on one, the random generator and autograd are left
alone. About 60 small tensor operations whatever the size (`decode.py` has a shorter way for single tokens); 224 bytes
per sequence leave the device. Whatever is missing or has an unexpected shape makes its columns `ABSENT`, never an
error.
"""

from __future__ import annotations

import torch
from torch import Tensor

from locant.observation import ABSENT, RowField
from locant.probe.masks import KeptTokens, kept_tokens, pad_runs
from locant.probe.row_inputs import RowInputs, RowRules
from locant.probe.segments import boundary_misses, segments_seen, separators

WIDTH = len(RowField)
_VISIBILITY = WIDTH - RowField.WINDOW_EXCESS
MIX = (0x1E3779B97F4A7C15, 0x3F58476D1CE4E5B9)
"""Odd 61-bit multipliers of the token hash; int64 products wrap."""


def reduce_rows(inputs: RowInputs, rules: RowRules) -> Tensor:
    """int64 [B, len(RowField)] on the inputs' device; the visibility columns are left `ABSENT`."""
    kept = kept_tokens(inputs, rules)
    columns = _padding(inputs, rules, kept)
    columns += _positions(inputs, rules, kept)
    columns += [
        segments_seen(inputs, rules, kept),
        separators(inputs, rules, kept),
        boundary_misses(inputs, kept),
        _hash(inputs, rules, kept),
    ]
    columns += [_absent(inputs)] * _VISIBILITY
    return torch.stack(columns, 1)


def _absent(inputs: RowInputs) -> Tensor:
    return torch.full((inputs.batch,), ABSENT, dtype=torch.int64, device=inputs.device)


def _padding(inputs: RowInputs, rules: RowRules, kept: KeptTokens) -> list[Tensor]:
    """REAL to CACHE_TOKENS."""
    cached = kept.before.new_zeros(inputs.batch) + inputs.cached
    left = torch.where(kept.any, kept.first, inputs.queries)
    right = torch.where(kept.any, inputs.queries - 1 - kept.last, 0)
    holes = inputs.queries - left - right - kept.count
    unmasked = pad_runs(inputs, rules)
    unknown = _absent(inputs) if unmasked is None else None
    unmasked_left, unmasked_right = unmasked if unmasked is not None else (unknown, unknown)
    assert unmasked_left is not None
    assert unmasked_right is not None
    if inputs.mask is None and unknown is not None:
        left = right = holes = unknown
    return [kept.count, left, right, holes, unmasked_left, unmasked_right, kept.before, cached]


def _positions(inputs: RowInputs, rules: RowRules, kept: KeptTokens) -> list[Tensor]:
    """FIRST_POSITION to REPEATS: nine columns, `ABSENT` in a row without real tokens."""
    if inputs.positions is None:
        return [_absent(inputs)] * 9
    every = inputs.positions.expand(*inputs.positions.shape[:-2], inputs.batch, inputs.queries).long()
    axis = every if every.dim() == 2 else every[0]
    first, last = kept.at_first(axis), kept.at_last(axis)
    highest = torch.where(kept.real, every, ABSENT).amax(-1)
    lowest = torch.where(kept.real, every, -ABSENT).amin(-1)
    if every.dim() == 3:
        highest, lowest = highest.amax(0), lowest.amin(0)
    first_offset = first - kept.before
    last_offset = last - kept.before - kept.count + 1
    steps = _steps(axis, first, rules.base, kept)
    columns = torch.stack([first, last, lowest, highest, first_offset, last_offset, *steps])
    return list(columns.masked_fill(~kept.any, ABSENT).unbind(0))


def _steps(axis: Tensor, first: Tensor, base: int, kept: KeptTokens) -> tuple[Tensor, Tensor, Tensor]:
    """Jumps, resets and repeats between real tokens that stand side by side."""
    if axis.shape[1] < 2:
        zero = torch.zeros_like(first)
        return zero, zero, zero
    judged = kept.real[:, 1:] & kept.real[:, :-1]
    step = axis[:, 1:] - axis[:, :-1]
    landed = axis[:, 1:]
    reset = judged & (step < 0) & ((landed == first[:, None]) | (landed == base))
    repeat = judged & (step == 0)
    jump = judged & (step != 1) & ~reset
    return jump.sum(1), reset.sum(1), repeat.sum(1)


def _hash(inputs: RowInputs, rules: RowRules, kept: KeptTokens) -> Tensor:
    """31 bits over the real tokens in their order, salted: comparable within this process, of no use outside it."""
    if inputs.ids is None:
        return _absent(inputs)
    mixed = (inputs.ids.long() + rules.salt) * MIX[0] + kept.rank * MIX[1]
    mixed = (mixed ^ (mixed >> 29)) * MIX[1]
    total = torch.where(kept.real, mixed, 0).sum(1)
    return (total >> 20) & 0x7FFFFFFF
