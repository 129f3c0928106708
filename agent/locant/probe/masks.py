"""Which tokens of a call are real: by the caller's 2-D mask, else by the runs of the pad id at the row's ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.probe.row_inputs import RowInputs, RowRules


@dataclass(frozen=True, slots=True)
class KeptTokens:
    """The real tokens of a call. `real` bool [B, Q]; the others int64 [B] (`any` bool), `rank` int64 [B, Q].

    `first`, `last`: columns of the first and last real token (0 and Q - 1 where there is none); `before`: real tokens
    that the cache holds; `rank`: real tokens of this call up to and including a column, less one.
    """

    real: Tensor
    count: Tensor
    any: Tensor
    first: Tensor
    last: Tensor
    before: Tensor
    rank: Tensor

    def at_first(self, values: Tensor) -> Tensor:
        """`values` [B, Q] at each row's first real token."""
        return values.gather(1, self.first[:, None])[:, 0]

    def at_last(self, values: Tensor) -> Tensor:
        """`values` [B, Q] at each row's last real token."""
        return values.gather(1, self.last[:, None])[:, 0]


def kept_tokens(inputs: RowInputs, rules: RowRules) -> KeptTokens:
    """The real tokens of a call."""
    split = split_mask(inputs)
    if split is not None:
        real, before = split
    else:
        real = _outside_pads(inputs, rules)
        before = torch.zeros(inputs.batch, dtype=torch.int64, device=inputs.device) + inputs.cached
    if inputs.queries == 1:
        present, nowhere = real[:, 0], torch.zeros_like(before)
        return KeptTokens(real, present.long(), present, nowhere, nowhere, before, nowhere[:, None])
    rank = real.cumsum(1) - 1
    flags = real.to(torch.uint8)
    return KeptTokens(
        real=real,
        count=rank[:, -1] + 1,
        any=rank[:, -1] >= 0,
        first=flags.argmax(1),
        last=inputs.queries - 1 - flags.flip(1).argmax(1),
        before=before,
        rank=rank,
    )


def split_mask(inputs: RowInputs) -> tuple[Tensor, Tensor] | None:
    """The mask's part for this call, bool [B, Q], and the real tokens before it, int64 [B]; None without a usable mask.

    Cached tokens that a mask shorter than cached + Q does not reach count as real.
    """
    mask, queries, cached = inputs.mask, inputs.queries, inputs.cached
    if inputs.split is not None:
        return inputs.split
    if mask is None or mask.shape[1] < queries:
        return None
    keep = (mask != 0).expand(inputs.batch, -1)
    spare = keep.shape[1] - queries
    if isinstance(cached, Tensor):
        start = cached.clamp(0, spare)
        columns = torch.arange(keep.shape[1], device=inputs.device)
        window = (columns[:queries] + start).expand(inputs.batch, -1)
        return keep.gather(1, window), (keep & (columns < start)).sum(1) + (cached - start)
    first = min(max(cached, 0), spare)
    return keep[:, first : first + queries], keep[:, :first].sum(1) + (cached - first)


def _outside_pads(inputs: RowInputs, rules: RowRules) -> Tensor:
    if inputs.ids is None or rules.pad_id is None:
        return torch.ones(inputs.batch, inputs.queries, dtype=torch.bool, device=inputs.device)
    left, right, _ = _runs(inputs.ids, rules)
    column = torch.arange(inputs.queries, device=inputs.device)
    return (column >= left[:, None]) & (column < inputs.queries - right[:, None])


def _runs(ids: Tensor, rules: RowRules) -> tuple[Tensor, Tensor, Tensor]:
    """Lengths of the runs of the pad id at the start and the end, int64 [B], and whether a row has any other token.

    Where the pad id also opens (closes) sequences, the innermost token of the run is taken for real.
    A row of nothing but pads has a run of Q at the start and none at the end.
    """
    queries = ids.shape[1]
    other = ids.ne(rules.pad_id if rules.pad_id is not None else -1).to(torch.uint8)
    present = other.amax(1).bool()
    left = torch.where(present, other.argmax(1), queries)
    right = torch.where(present, other.flip(1).argmax(1), 0)
    if rules.pad_starts:
        left = (left - 1).clamp_min(0)
    if rules.pad_ends:
        right = (right - 1).clamp_min(0)
    return left, right, present


def pad_runs(inputs: RowInputs, rules: RowRules) -> tuple[Tensor, Tensor] | None:
    """Pads at the start and the end that no mask covers, int64 [B] each; None where that cannot be known.

    0 in a row of nothing but pads: that is how a finished sequence waits for the others of its batch.
    """
    if inputs.ids is None or rules.pad_id is None or inputs.opaque_mask:
        return None
    if inputs.queries == 1:
        zero = torch.zeros(inputs.batch, dtype=torch.int64, device=inputs.device)
        return zero, zero
    left, right, present = _runs(inputs.ids, rules)
    split = split_mask(inputs)
    if split is not None:
        column = torch.arange(inputs.queries, device=inputs.device)
        left = (split[0] & (column < left[:, None])).sum(1)
        right = (split[0] & (column >= inputs.queries - right[:, None])).sum(1)
    return torch.where(present, left, 0), torch.where(present, right, 0)
