"""What a row's tokens say about its segments: token types, separators, declared boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from locant.observation import ABSENT
from locant.probe.masks import KeptTokens

if TYPE_CHECKING:
    from locant.probe.rows import RowInputs, RowRules


def segments_seen(inputs: RowInputs, rules: RowRules, kept: KeptTokens) -> Tensor:
    """Distinct token types among the real tokens, int64 [B]. A model that was given none uses type 0 throughout."""
    if rules.token_types == 0:
        return _absent(inputs)
    given = inputs.token_types
    if given is None or given.dim() != 2 or given.shape[1] != inputs.queries:
        return kept.any.long()
    kinds = torch.arange(rules.token_types, device=inputs.device)
    present = (given.expand(inputs.batch, -1)[:, :, None] == kinds) & kept.real[:, :, None]
    return present.any(1).sum(1)


def separators(inputs: RowInputs, rules: RowRules, kept: KeptTokens) -> Tensor:
    """Separator tokens among the real ones after the first, int64 [B]; some families open a row with their separator.

    When the id is not known, in a model with token types: the token that ends every row, if it occurs between words
    too, is smaller than all of them, larger than the row's opener, and among the lowest ids. Vocabularies of models
    with token types keep their special tokens below the words, the opener's first.
    """
    if inputs.ids is None:
        return _absent(inputs)
    ids = inputs.ids.long()
    if rules.separator_id is not None:
        return ((ids == rules.separator_id) & kept.real & (kept.rank > 0)).sum(1)
    if rules.token_types < 2:
        return _absent(inputs)
    candidate = kept.at_last(ids)
    same = (ids == candidate[:, None]) & kept.real & (kept.rank > 0)
    words = kept.real & ~same & (kept.rank > 0)
    smallest = torch.where(words, ids, -ABSENT).amin(1)
    low = (candidate < smallest) & (candidate < rules.special_below)
    special = low & (kept.at_first(ids) < candidate)
    everywhere = torch.where(kept.any, candidate, -ABSENT).amin() == torch.where(kept.any, candidate, 0).amax()
    count = same.sum(1)
    return torch.where((count > 1) & special & everywhere & kept.any, count, ABSENT)


def boundary_misses(inputs: RowInputs, kept: KeptTokens) -> Tensor:
    """Declared segment starts whose position is not the row's first position, int64 [B]."""
    starts, positions = inputs.starts, inputs.positions
    if starts is None or positions is None:
        return _absent(inputs)
    axis = positions if positions.dim() == 2 else positions[0]
    axis = axis.expand(inputs.batch, -1).long()
    opens = starts.gather(1, kept.rank.clamp_min(0)) & kept.real
    return (opens & (axis != kept.at_first(axis)[:, None])).sum(1)


def start_flags(segments: tuple[tuple[int, ...], ...], batch: int, queries: int) -> Tensor:
    """`RowInputs.starts` for declared segment lengths, bool [B, Q] on the CPU; the first segment opens nothing new."""
    flags = torch.zeros(batch, queries, dtype=torch.bool)
    for row, lengths in enumerate(segments[:batch]):
        start = 0
        for length in lengths[:-1]:
            start += length
            if 0 < start < queries:
                flags[row, start] = True
    return flags


def _absent(inputs: RowInputs) -> Tensor:
    return torch.full((inputs.batch,), ABSENT, dtype=torch.int64, device=inputs.device)
