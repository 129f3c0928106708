"""Exact attention statistics of sampled rows by an online softmax: one pass over the keys, memory as for the rows.

Everything is accumulated in float32 and nothing is read back. The softmax is the one of Milakov and Gimelshein (Online
normalizer calculation for softmax, 2018), extended to the sums that entropy and the masses need.
"""

from __future__ import annotations

import torch
from torch import Tensor

from locant.probe.attention.calls import Attention
from locant.probe.attention.layout import Layout
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

_CHUNK_SCORES = 1 << 20
_LOWEST = -1e4
"""2 to the power of this is 0 in float32; it stands in for -inf, which would make 0 * inf of a sum."""
_LOG2_E = 1.4426950408889634
"""Exponentials are taken as powers of two: on CPUs exp is forty times slower where it underflows, exp2 is not."""
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
    sees nothing has zeros and a log-sum-exp of -inf. Entropy is in nats and over the keys only, sinks excluded; without
    `relative` the visible keys are not counted and the relative entropy is 0.
    """
    sums = _Sums(call, rows, counts=relative)
    step = keys_at_once or max(_CHUNK_SCORES // (rows.queries.numel() * call.heads), 64)
    for start in range(0, call.keys, step):
        stop = min(start + step, call.keys)
        sums.add(call.scores(rows, start, stop), _properties(layout, start, stop, window))
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
    weights = torch.nan_to_num(scores.softmax(-1)[..., : call.keys])
    target = _bin(torch.arange(call.keys, device=call.device) + layout.first_stored, bins, span)
    empty = torch.zeros(*weights.shape[:2], bins, device=call.device)
    return empty.index_add_(2, target, weights)


def _bin(place: Tensor, bins: int, span: int) -> Tensor:
    return (place * bins // span).clamp(0, bins - 1)


class _Sums:
    """Running sums over key chunks, relative to the largest score so far. Every sum is [N, R, H]."""

    def __init__(self, call: Attention, rows: Rows, *, counts: bool) -> None:
        self.counts = counts
        shape = (*rows.queries.shape, call.heads)
        self.largest = torch.full(shape, -torch.inf, device=call.device)
        self.total = torch.zeros(shape, device=call.device)
        self.shifted = torch.zeros_like(self.total)
        self.seen = torch.zeros_like(self.total)
        self.linear = torch.zeros(*shape, len(LINEAR), device=call.device)

    def add(self, scores: Tensor, properties: Tensor) -> None:
        """Take in scores [N, R, H, C] and properties [N, R, len(LINEAR), C] of the next C keys."""
        largest = torch.maximum(self.largest, scores.amax(-1))
        base = largest.masked_fill(largest == -torch.inf, 0.0)
        moved = (self.largest - base).clamp_min(_LOWEST)
        shrink = (moved * _LOG2_E).exp2()
        if self.counts:
            self.seen += (scores > _UNSEEN).float().sum(-1)
        below = scores.sub_(base[..., None]).clamp_min_(_LOWEST)
        weights = (below * _LOG2_E).exp2_()
        product = (weights[..., None, :] @ below[..., None])[..., 0, 0]
        self.shifted = (self.shifted + self.total * moved) * shrink + product
        self.total = self.total * shrink + weights.sum(-1)
        self.linear = self.linear * shrink[..., None] + weights @ properties.transpose(-1, -2)
        self.largest = largest

    def finish(self, sinks: Tensor | None) -> Tensor:
        """The statistics; sinks [H] enter the softmax's sum only."""
        largest, keys = self.largest, self.total
        total = keys
        base = largest
        if sinks is not None:
            base = torch.maximum(largest, sinks.float())
            total = keys * (largest - base).exp() + (sinks.float() - base).exp()
        scale = (largest - base).exp() if sinks is not None else torch.ones_like(keys)
        safe = torch.where(total > 0, total, 1.0)
        log_total = safe.log() + (base - largest if sinks is not None else 0.0)
        entropy = (keys * log_total - self.shifted) * scale / safe
        top = torch.where(keys > 0, scale / safe, 0.0)
        relative = torch.where(self.seen > 1, entropy / self.seen.clamp_min(2).log(), 0.0)
        linear = (self.linear * (scale / safe)[..., None]).movedim(-1, 0)
        rest = torch.stack([entropy, relative, top, base + safe.log()])
        return torch.cat([torch.nan_to_num(linear), torch.nan_to_num(rest[:3]), rest[3:]])


def _properties(layout: Layout, start: int, stop: int, window: int | None) -> Tensor:
    """What each linear statistic weighs a key by, float32 [N, R, len(LINEAR), C]."""
    key = torch.arange(start, stop, device=layout.own.device)
    own = layout.own[:, :, None]
    back = own - key
    away = back.abs().float()
    nothing = torch.zeros((), device=layout.own.device).expand_as(away)
    padding = layout.padding[:, None, start:stop].float() if layout.padding is not None else nothing
    found = {
        "padding_mass": padding,
        "cross_mass": foreign(layout, start, stop).float() if layout.request is not None else nothing,
        "future_mass": (back < 0).float(),
        "window_mass": (back >= window).float() if window is not None else nothing,
        "self_mass": (back == 0).float(),
        "first_token_mass": (key == first_column(layout)).float(),
        "recency_mass": ((back >= 0) & (back < RECENT_KEYS)).float(),
        "distance": away,
        "log_distance": (away + 1).log(),
    }
    return torch.stack([found[name].expand_as(away) for name in LINEAR], 2)


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
