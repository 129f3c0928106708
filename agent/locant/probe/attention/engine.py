"""Exact attention statistics of sampled rows by an online softmax: one pass over the keys, memory as for the rows.

Everything is accumulated in float32 and nothing is read back from a device. The softmax is the one of Milakov and
Gimelshein (Online normalizer calculation for softmax, 2018), extended to what entropy and the masses need: each block
of keys is normalised by itself and merged by its share of all weight.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from locant.probe.attention.calls import Attention
from locant.probe.attention.contract import LINEAR
from locant.probe.attention.layout import Layout
from locant.probe.attention.rows import Rows

RECENT_KEYS = 16
"""Recency mass is the weight on a query's own key and the 15 before it."""
_MIDDLE = (RECENT_KEYS - 1) / 2

_CHUNK_SCORES = 1 << 18
"""Scores at a time: a mebibyte, which stays near a core from the product to the last sum."""
_UNSEEN = -3e4
"""Scores below are masked ones, in half precision too."""


def row_statistics(
    call: Attention, rows: Rows, layout: Layout, window: int | None = None, *, keys_at_once: int | None = None
) -> Tensor:
    """float32 [len(contract.STATISTICS), N, R, H]: the statistics of every sampled row and head.

    Distances are in columns. Masses whose property is not known (no padding, no requests, no window) are 0. A row that
    sees nothing has zeros and a log-sum-exp of -inf. Entropy is in nats and over the keys only, sinks excluded.
    """
    reach = call.reach(rows)
    causal = reach is not None and all(
        last <= own for last, own in zip(reach, layout.own.amin(0).tolist(), strict=True)
    )
    pairs = _Pairs(layout, window, causal)
    step = keys_at_once or max(_CHUNK_SCORES // (rows.queries.numel() * call.heads), 64)
    sums = _Sums(call.scores(rows, 0, min(step, call.keys)), pairs.properties(0, 0, min(step, call.keys)))
    for start in range(step, call.keys, step):
        stop = min(start + step, call.keys)
        first = next((row for row, last in enumerate(reach) if last >= start), len(reach)) if reach else 0
        if reach and first == len(reach):
            break
        scores = call.scores(rows.since(first), start, stop)
        sums.merge(first, _Sums(scores, pairs.properties(first, start, stop)))
    return sums.finish(pairs.names, call.sinks)


def heat_map(call: Attention, rows: Rows, layout: Layout, head: int, bins: int, span: int) -> tuple[Tensor, Tensor]:
    """Mass of one head from query bin to key bin, float32 [bins, bins], and the counted rows per bin, int64 [bins].

    Bin b holds tokens [b, b + 1) * span / bins of the sequence, cached ones included; keys no longer stored have none.
    """
    mass = binned_mass(call.only(head), rows, layout, bins, span).flatten(0, 1)
    member = _members((layout.own + layout.first_stored).flatten(), bins, span)
    member *= (rows.weights > 0).flatten()[:, None]
    return member.T @ mass, member.sum(0).long()


def binned_mass(call: Attention, rows: Rows, layout: Layout, bins: int, span: int) -> Tensor:
    """Mass of the call's first head by key bin, float32 [N, R, bins]. Memory: one score per row and key."""
    scores = call.scores(rows, 0, call.keys)[:, :, 0]
    if call.sinks is not None:
        scores = torch.cat([scores, call.sinks[0].float().expand(*scores.shape[:2], 1)], -1)
    seen = scores[..., : call.keys].amax(-1, keepdim=True) > _UNSEEN
    weights = scores.softmax(-1)[..., : call.keys]
    place = torch.arange(call.keys, device=call.device) + layout.first_stored
    return torch.where(seen, weights @ _members(place, bins, span), 0.0)


def _members(place: Tensor, bins: int, span: int) -> Tensor:
    """Which bin each place is in: float32 [places, bins], a single 1 in every line."""
    bin_of = (place * bins // span).clamp_(0, bins - 1)
    return (bin_of[:, None] == torch.arange(bins, device=place.device)).float()


class _Pairs:
    """The properties of (query, key) pairs that the linear statistics of `names` weigh.

    Left out is what is 0 for want of what it is about: padding, requests, a window, later keys of a causal call.
    """

    def __init__(self, layout: Layout, window: int | None, causal: bool) -> None:
        self._layout, self._window = layout, window
        known = {
            "padding_mass": layout.padding is not None,
            "cross_mass": layout.request is not None,
            "future_mass": not causal,
            "window_mass": window is not None,
        }
        self.names = tuple(name for name in LINEAR if known.get(name, True))

    def properties(self, first: int, start: int, stop: int) -> Tensor:
        """Of keys [start, stop) and the rows since `first`: float32 [N, R, len(names), stop - start].

        Columns are exact in float32 up to 16 million.
        """
        layout, own = self._layout, self._layout.own[:, first:, None].float()
        key = torch.arange(start, stop, dtype=torch.float32, device=own.device)
        back = own - key
        table = torch.empty(*own.shape[:2], len(self.names), stop - start, dtype=torch.float32, device=own.device)
        of = dict(zip(self.names, table.unbind(2), strict=True))
        torch.abs(back, out=of["distance"])
        torch.log1p(of["distance"], out=of["log_distance"])
        torch.eq(back, 0, out=of["self_mass"])
        torch.eq(key, layout.opening[:, first:, None], out=of["first_token_mass"])
        torch.le((back - _MIDDLE).abs_(), _MIDDLE, out=of["recency_mass"])
        if "future_mass" in of:
            torch.lt(back, 0, out=of["future_mass"])
        if self._window is not None:
            torch.ge(back, self._window, out=of["window_mass"])
        if layout.padding is not None:
            of["padding_mass"].copy_(layout.padding[:, None, start:stop])
        if layout.request is not None:
            of["cross_mass"].copy_(foreign(layout, start, stop)[:, first:])
        return table


class _Sums:
    """What a softmax over some keys says of each row; every sum is [N, R, H].

    `lse` is the log-sum-exp, `below` the mean of the scores less `lse`, which is the entropy with its sign changed,
    `seen` the visible keys, `linear` [N, R, H, P] the means of the properties [N, R, P, C].
    """

    def __init__(self, scores: Tensor, properties: Tensor) -> None:
        self.seen = torch.gt(scores, _UNSEEN, out=torch.empty_like(scores)).sum(-1)
        self.largest = scores.amax(-1)
        scores.sub_(self.largest[..., None])
        weights = scores.transpose(1, 2).softmax(-1).transpose(1, 2)
        top = weights.amax(-1).log_()
        self.lse = self.largest - top
        self.below = torch.linalg.vecdot(weights, scores) + top
        self.linear = weights @ properties.transpose(-1, -2)

    def merge(self, first: int, more: _Sums) -> None:
        """Take in what further keys say of the rows since `first`; earlier rows do not see them."""
        lse, below = self.lse[:, first:], self.below[:, first:]
        total = torch.logaddexp(lse, more.lse)
        kept, added = (lse - total).exp_(), (more.lse - total).exp_()
        below.add_(lse - total).mul_(kept).add_(added * (more.below + more.lse - total))
        self.linear[:, first:].mul_(kept[..., None]).add_(more.linear.mul_(added[..., None]))
        lse.copy_(total)
        self.seen[:, first:] += more.seen
        torch.maximum(self.largest[:, first:], more.largest, out=self.largest[:, first:])

    def finish(self, names: Iterable[str], sinks: Tensor | None) -> Tensor:
        """The statistics, the linear ones by their names; sinks [H] enter the softmax's sum only."""
        total = self.lse if sinks is None else torch.logaddexp(self.lse, sinks.float())
        scale = (self.lse - total).exp_()
        entropy = (total - self.lse - self.below) * scale
        relative = entropy / self.seen.clamp_min(2).log_() * (self.seen > 1)
        largest = (self.largest - self.lse).exp_() * scale
        known = dict(zip(names, (self.linear * scale[..., None]).unbind(-1), strict=True))
        nothing = torch.zeros_like(total)
        found = torch.stack([*(known.get(name, nothing) for name in LINEAR), entropy, relative, largest, total])
        blind = ~(self.largest > _UNSEEN)  # a row that overflows to NaN too
        found.masked_fill_(blind, 0.0)
        found[-1] = torch.where(blind, -torch.inf if sinks is None else sinks.float(), total)
        return found


def foreign(layout: Layout, start: int, stop: int) -> Tensor:
    """Keys that belong to another request than the row's own key, bool [N, R, stop - start]."""
    assert layout.request is not None
    mine = layout.request.gather(1, layout.own)[:, :, None]
    theirs = layout.request[:, None, start:stop]
    return (mine != theirs) & (mine >= 0) & (theirs >= 0)
