"""What a row's tokens say about its segments: token types, separators, declared boundaries."""

from __future__ import annotations

import torch
from torch import Tensor

from locant.observation import ABSENT
from locant.probe.masks import KeptTokens
from locant.probe.row_inputs import RowInputs, RowRules


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
    """Separator tokens among the real ones after the first, int64 [B]: some families open a row with one."""
    if inputs.ids is None:
        return _absent(inputs)
    found = separator_marks(inputs.ids.long(), rules, kept)
    if found is None:
        return _absent(inputs)
    marks, certain = found
    return torch.where(certain, marks.sum(1), ABSENT)


def segments_astray(inputs: RowInputs, rules: RowRules, kept: KeptTokens) -> Tensor | None:
    """int64 [B]: 1 where a pair's one change of token type follows no separator, or goes from the second to the first.

    0 for rows with several changes, or none; the opener may have a type of its own. None where nothing is known.
    """
    given = inputs.token_types
    if rules.token_types < 2 or inputs.ids is None or given is None or given.dim() != 2:
        return None
    if given.shape[1] != inputs.queries or inputs.queries < 3:
        return None
    found = separator_marks(inputs.ids.long(), rules, kept)
    if found is None:
        return None
    marks, certain = found
    types = given.expand(inputs.batch, -1)
    change = (types[:, 1:] != types[:, :-1]) & kept.real[:, 1:] & kept.real[:, :-1] & (kept.rank[:, 1:] > 1)
    astray = (change & (~marks[:, :-1] | (types[:, 1:] < types[:, :-1]))).any(1)
    return ((change.sum(1) == 1) & astray & certain & (marks.sum(1) > 1)).long()


def separator_marks(ids: Tensor, rules: RowRules, kept: KeptTokens) -> tuple[Tensor, Tensor] | None:
    """Which tokens are separators, bool [B, Q], and for which rows that is certain, bool [B]; None if for no row.

    When the id is not known, in a model with token types: the token that ends every row, if it occurs between words
    too, is smaller than all of them, larger than the row's opener, and among the lowest ids. Vocabularies of models
    with token types keep their special tokens below the words, the opener's first.
    """
    if rules.separator_id is not None:
        marks = (ids == rules.separator_id) & kept.real & (kept.rank > 0)
        return marks, torch.ones_like(kept.any)
    if rules.token_types < 2:
        return None
    candidate = kept.at_last(ids)
    same = (ids == candidate[:, None]) & kept.real & (kept.rank > 0)
    words = kept.real & ~same & (kept.rank > 0)
    smallest = torch.where(words, ids, -ABSENT).amin(1)
    low = (candidate < smallest) & (candidate < rules.special_below)
    special = low & (kept.at_first(ids) < candidate)
    everywhere = torch.where(kept.any, candidate, -ABSENT).amin() == torch.where(kept.any, candidate, 0).amax()
    return same, (same.sum(1) > 1) & special & everywhere & kept.any


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
