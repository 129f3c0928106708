"""Exact attention statistics of sampled rows by an online softmax: one pass over the keys, memory as for the rows.

Everything is accumulated in float32 and nothing is read back from a device. The softmax is the one of Milakov and
Gimelshein (Online normalizer calculation for softmax, 2018), extended to what entropy and the masses need: each block
of keys is normalised by itself and merged by its share of all weight.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from locant.probe.attention.calls import Attention
from locant.probe.attention.layout import Layout
from locant.probe.attention.rows import HIDDEN as _HIDDEN
from locant.probe.attention.rows import Rows

RECENT_KEYS = 16
"""Recency mass is the weight on a query's own key and the 15 before it."""

LINEAR = (
    "padding_mass",
    "cross_mass",
    "future_mass",
    "window_mass",
    "self_mass",
    "first_token_mass",
    "recency_mass",
    "distance",
    "log_distance",
)
"""Statistics that are sums of weight times a property of the (query, key) pair."""

ROW_STATISTICS = (*LINEAR, "entropy", "relative_entropy", "largest_weight", "log_sum_exp")
"""What `row_statistics` gives, in its order."""

_CHUNK_SCORES = 1 << 18
"""Scores at a time: a mebibyte, which stays near a core from the product to the last sum."""
_UNSEEN = -3e4
"""Scores below are masked ones, in half precision too."""


def row_statistics(
    call: Attention,
    rows: Rows,
    layout: Layout,
    window: int | None = None,
    *,
    keys_at_once: int | None = None,
    relative: bool = True,
) -> Tensor:
    """float32 [len(ROW_STATISTICS), N, R, H]: the statistics of every sampled row and head.

    Distances are in columns. Masses whose property is not known (no padding, no requests, no window) are 0. A row that
    sees nothing has zeros and a log-sum-exp of -inf. Entropy is in nats and over the keys only, sinks excluded. Without
    `relative` the visible keys are not counted, nor logarithms of distances taken: both statistics are 0.
    """
    reach = call.reach(rows)
    causal = reach is not None and all(
        last <= own for last, own in zip(reach, layout.own.amin(0).tolist(), strict=True)
    )
    sums = _Sums(call, rows, layout, window, relative=relative, causal=causal)
    step = keys_at_once or max(_CHUNK_SCORES // (rows.queries.numel() * call.heads), 64)
    for start in range(0, call.keys, step):
        first = next((row for row, last in enumerate(reach) if last >= start), len(reach)) if reach and start else 0
        if reach and first == len(reach):
            break
        sums.add(call, start, min(start + step, call.keys), first)
    return sums.finish(call.sinks)


def heat_map(call: Attention, rows: Rows, layout: Layout, head: int, bins: int, span: int) -> tuple[Tensor, Tensor]:
    """Mass of one head from query bin to key bin, float32 [bins, bins], and the counted rows per bin, int64 [bins].

    Bin b holds tokens [b, b + 1) * span / bins of the sequence, cached ones included; keys no longer stored have none.
    """
    mass = binned_mass(call.only(head), rows, layout, bins, span)
    counted = rows.weights > 0
    bin_of_row = _bin(layout.own + layout.first_stored, bins, span).flatten()
    heat = torch.zeros(bins, bins, device=call.device)
    heat.index_add_(0, bin_of_row, (mass * counted[..., None]).flatten(0, 1))
    per_bin = torch.zeros(bins, dtype=torch.int64, device=call.device)
    return heat, per_bin.index_add_(0, bin_of_row, counted.flatten().long())


def binned_mass(call: Attention, rows: Rows, layout: Layout, bins: int, span: int) -> Tensor:
    """Mass of the call's first head by key bin, float32 [N, R, bins]. Memory: one score per row and key."""
    scores = call.scores(rows, 0, call.keys)[:, :, 0]
    if call.sinks is not None:
        scores = torch.cat([scores, call.sinks[0].float().expand(*scores.shape[:2], 1)], -1)
    seen = scores[..., : call.keys].amax(-1, keepdim=True) > _UNSEEN
    weights = scores.softmax(-1)[..., : call.keys] * seen
    target = _bin(torch.arange(call.keys, device=call.device) + layout.first_stored, bins, span)
    empty = torch.zeros(*weights.shape[:2], bins, device=call.device)
    return empty.index_add_(2, target, weights)


def _bin(place: Tensor, bins: int, span: int) -> Tensor:
    return (place * bins // span).clamp(0, bins - 1)


class _Sums:
    """What a softmax over all keys so far says of each row; every sum is [N, R, H].

    `lse` is the log-sum-exp, `linear` the statistics under the softmax, `below` the mean of the scores less `lse`,
    which is the entropy with its sign changed, `seen` the visible keys.
    """

    def __init__(
        self, call: Attention, rows: Rows, layout: Layout, window: int | None, *, relative: bool, causal: bool
    ) -> None:
        self._rows, self._layout, self._window = rows, layout, window
        self._relative, self._causal = relative, causal
        shape = (*rows.queries.shape, call.heads)
        self.lse = torch.full(shape, _HIDDEN * 2, device=call.device)
        self.below = torch.zeros(shape, device=call.device)
        self.largest = torch.full(shape, _HIDDEN * 2, device=call.device)
        self.seen = torch.zeros(shape, device=call.device)
        self.linear = torch.zeros(len(LINEAR), *shape, device=call.device)

    def add(self, call: Attention, start: int, stop: int, first: int) -> None:
        """Take in keys [start, stop), which no row before `first` sees."""
        rows = self._rows.since(first)
        scores = call.scores(rows, start, stop)
        if self._relative:
            self.seen[:, first:] += (scores > _UNSEEN).sum(-1)
        largest = scores.amax(-1)
        scores.sub_(largest[..., None])
        weights = scores.transpose(1, 2).softmax(-1).transpose(1, 2)
        top = weights.amax(-1).log_()
        below = torch.linalg.vecdot(weights, scores) + top
        self._merge(first, largest - top, below, largest)
        for name, mass in self._linear(weights, start, stop, first):
            self.linear[LINEAR.index(name), :, first:] += mass * self._share

    def _merge(self, first: int, lse: Tensor, below: Tensor, largest: Tensor) -> None:
        """Into the sums of the rows since `first`; `_share` is then the new keys' part of all weight."""
        old = self.lse[:, first:]
        total = torch.logaddexp(old, lse)
        kept, self._share = (old - total).exp_(), (lse - total).exp_()
        mine = self.below[:, first:]
        mine.add_(old - total).mul_(kept).add_(self._share * (below + lse - total))
        self.linear[:, :, first:] *= kept
        old.copy_(total)
        torch.maximum(self.largest[:, first:], largest, out=self.largest[:, first:])

    def _linear(self, weights: Tensor, start: int, stop: int, first: int) -> Iterator[tuple[str, Tensor]]:
        """Every linear statistic over these keys that is not 0 for want of what it is about."""
        layout, own = self._layout, self._layout.own[:, first:]
        key = torch.arange(start, stop, device=own.device)
        back = own[:, :, None] - key
        away = back.abs_() if self._causal else back.abs()
        yield "distance", _weighed(weights, away.float())
        if self._relative:
            yield "log_distance", _weighed(weights, away.float().add_(1).log_())
        if layout.padding is not None:
            yield "padding_mass", _weighed(weights, layout.padding[:, None, start:stop].expand_as(back).float())
        if layout.request is not None:
            yield "cross_mass", _weighed(weights, foreign(layout, start, stop)[:, first:].float())
        if self._window is not None:
            yield "window_mass", _weighed(weights, (own[:, :, None] - key >= self._window).float())
        if not self._causal:
            yield "future_mass", _weighed(weights, (back < 0).float())
        yield "self_mass", _at(weights, own[:, :, None] - start)
        yield "first_token_mass", _at(weights, first_column(layout)[:, first:] - start)
        recent = own[:, :, None] - torch.arange(RECENT_KEYS, device=own.device)
        yield "recency_mass", _at(weights, recent - start)

    def finish(self, sinks: Tensor | None) -> Tensor:
        """The statistics; sinks [H] enter the softmax's sum only."""
        seen = self.largest > _UNSEEN
        total = self.lse if sinks is None else torch.logaddexp(self.lse, sinks.float())
        scale = (self.lse - total).exp() * seen
        entropy = (total - self.lse - self.below) * scale
        relative = torch.where(self.seen > 1, entropy / self.seen.clamp_min(2).log(), 0.0)
        top = (self.largest - self.lse).exp() * scale
        unseen = torch.full_like(total, -torch.inf) if sinks is None else sinks.float().expand_as(total)
        rest = torch.stack([entropy, relative, top, torch.where(seen, total, unseen)])
        return torch.cat([self.linear * scale, rest])


def _weighed(weights: Tensor, properties: Tensor) -> Tensor:
    """Sum of weights [N, R, H, C] times a property of the pair [N, R, C]: [N, R, H]."""
    found: Tensor = torch.linalg.vecdot(weights, properties[:, :, None])
    return found


def _at(weights: Tensor, columns: Tensor) -> Tensor:
    """Sum of the weights [N, R, H, C] in some columns [N, R, n], of which those outside have none: [N, R, H]."""
    inside = (columns >= 0) & (columns < weights.shape[-1])
    index = columns.clamp(0, weights.shape[-1] - 1)[:, :, None].expand(-1, -1, weights.shape[2], -1)
    return (weights.gather(-1, index) * inside[:, :, None]).sum(-1)


def foreign(layout: Layout, start: int, stop: int) -> Tensor:
    """Keys that belong to another request than the row's own key, bool [N, R, stop - start]."""
    assert layout.request is not None
    mine = layout.request.gather(1, layout.own)[:, :, None]
    theirs = layout.request[:, None, start:stop]
    return (mine != theirs) & (mine >= 0) & (theirs >= 0)


def first_column(layout: Layout) -> Tensor:
    """Column of the first real key of the row's request, int64 [N, R, 1]; -1 where it is no longer stored."""
    if layout.request is not None:
        mine = layout.request.gather(1, layout.own)[:, :, None]
        ours = layout.request[:, None] == mine
        if layout.padding is not None:
            ours = ours & ~layout.padding[:, None]
        return ours.to(torch.uint8).argmax(-1)[:, :, None]
    start = torch.zeros_like(layout.own)
    if layout.padding is not None:
        start = start + (~layout.padding).to(torch.uint8).argmax(1, keepdim=True)
    gone = start + layout.first_stored > start
    return torch.where(gone, -1, start)[:, :, None]
