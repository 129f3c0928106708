"""What a mask lets the sampled queries see, judged against what they may see: exact counts, no weights.

Only what is certain is said. Everything else is `ABSENT`: a false word here wakes somebody up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.observation import ABSENT
from locant.probe.attention.calls import Attention, Sight
from locant.probe.attention.contract import PassContext
from locant.probe.attention.engine import foreign
from locant.probe.attention.layout import Layout
from locant.probe.attention.rows import Rows

COLUMNS = (
    *("window_excess", "window_deficit", "future_visible", "self_blind", "pads_visible", "cross_visible"),
    "future_hidden",
)
_AGREEING_ROWS = 3
"""So many rows with the same count of keys are taken for a window; packed requests end at different distances."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a layer is meant to do: `window`, counting the query itself, None for no limit; `causal`: no later keys."""

    window: int | None
    causal: bool


def judge(call: Attention, rows: Rows, layout: Layout, context: PassContext, geometry: Geometry) -> Tensor:
    """int64 [B, len(COLUMNS)]: per sequence the largest count over judged rows, `ABSENT` where nothing is certain."""
    absent = torch.full((rows.queries.shape[0],), ABSENT, dtype=torch.int64, device=call.device)
    if not layout.located:
        return absent[:, None].expand(-1, len(COLUMNS)).contiguous()
    seen = _View(call.sight(rows), rows, layout, context)
    window = geometry.window if geometry.causal else None
    columns = [
        _window_excess(seen, window) if window is not None else absent,
        _window_deficit(seen, window) if window is not None else absent,
        _future(seen) if geometry.causal else absent,
        _self_blind(seen),
        _counted(seen, seen.sight.visible & layout.padding[:, None]) if layout.padding is not None else absent,
        _counted(seen, seen.sight.visible & foreign(layout, 0, call.keys)) if layout.request is not None else absent,
        _future_hidden(seen) if context.two_way and not geometry.causal else absent,
    ]
    return torch.stack(columns, 1)


class _View:
    """Sight of the rows beside their layout. `back` int64 [N, R, K]: columns from a key to the row's own.

    `counted` bool [N, R]: the row is not known to be padding (`known`: is known not to be); `real`: and it sees keys.
    """

    def __init__(self, sight: Sight, rows: Rows, layout: Layout, context: PassContext) -> None:
        self.sight, self.rows, self.layout = sight, rows, layout
        self.key = torch.arange(sight.visible.shape[2], device=rows.queries.device)
        self.back = layout.own[:, :, None] - self.key
        counted = rows.weights > 0
        if layout.padding is not None:
            counted = counted & ~layout.padding.gather(1, layout.own)
        self.known = context.query_real is not None
        self.own_mask = context.own_mask
        self.deliberate = context.own_mask or context.blocks
        if context.query_real is not None:
            real = context.query_real.to(rows.queries.device).expand(context.batch, -1)
            counted = counted & rows.of(real).gather(1, rows.queries)
        self.sees = sight.visible.any(-1)
        self.counted = counted
        self.real = counted & self.sees

    def largest(self, counts: Tensor, judged: Tensor) -> Tensor:
        """Per sequence the largest count over the judged rows, `ABSENT` without any."""
        return counts.masked_fill(~judged, ABSENT).amax(1)

    def contiguous(self) -> Tensor:
        """bool [N, R]: the row sees one run of keys that ends at its own, and no key is in doubt."""
        sure = (self.sight.visible ^ self.sight.hidden).all(-1)
        earlier = self.sight.visible & (self.back >= 0)
        span = (self.back.masked_fill(~earlier, -1)).amax(-1) + 1
        return sure & (earlier.sum(-1) == span)


def _counted(seen: _View, keys: Tensor) -> Tensor:
    return seen.largest(keys.sum(-1), seen.real)


def _window_excess(seen: _View, window: int) -> Tensor:
    """Keys seen at `window` or more columns back. Rows with gaps (draft trees, kept sinks) say nothing.

    In a mask of the caller's own, every row that has such a key must see it: near the start a window may adjoin sinks.
    """
    counts = (seen.sight.visible & (seen.back >= window)).sum(-1)
    judged = seen.real & seen.contiguous()
    found = seen.largest(counts, judged)
    if not seen.own_mask:
        return found
    edge = seen.back == window
    if seen.layout.padding is not None:
        edge = edge & ~seen.layout.padding[:, None]
    could = seen.real & edge.any(-1)
    agreed = ((seen.sight.visible & edge).any(-1) | ~could).all(1)
    return torch.where(agreed, found, found.clamp_max(0))


def _window_deficit(seen: _View, window: int) -> Tensor:
    """Hidden keys inside the window, where all long rows of an unpadded sequence see the same, too few keys."""
    count = (seen.sight.visible & (seen.back >= 0)).sum(-1)
    full = seen.real & seen.contiguous() & (seen.layout.own >= window - 1)
    if seen.layout.padding is not None:
        full = full & ~seen.layout.padding.any(1, keepdim=True)
    if seen.layout.request is not None:
        full = full & (seen.layout.request == seen.layout.request[:, :1]).all(1, keepdim=True)
    if not seen.layout.complete:
        full = torch.zeros_like(full)
    most = count.masked_fill(~full, ABSENT).amax(1)
    least = count.masked_fill(~full, -ABSENT).amin(1)
    places = torch.where(full, seen.layout.own, -1).sort(1).values
    distinct = ((places[:, 1:] != places[:, :-1]) & (places[:, 1:] >= 0)).sum(1) + (places[:, 0] >= 0)
    certain = (most == least) & (distinct >= _AGREEING_ROWS)
    return torch.where(certain, (window - most).clamp_min(0), ABSENT)


def _future(seen: _View) -> Tensor:
    """Later keys that are visible, where every row that has later keys sees some.

    A prefix, an image or a tree may legally look both ways, but then other rows of the same sequence do not. Where the
    caller or the family decides about blocks, a sequence that is open altogether is taken for one block.
    """
    later = (seen.back < 0) & (seen.key <= seen.layout.newest[:, :, None])
    if seen.layout.padding is not None:
        later = later & ~seen.layout.padding[:, None]
    counts = (seen.sight.visible & later).sum(-1)
    judged = seen.real & later.any(-1)
    everywhere = ((counts > 0) | ~judged).all(1) & judged.any(1)
    found = torch.where(everywhere, counts.masked_fill(~judged, 0).amax(1), 0)
    found = torch.where(seen.real.any(1), found, ABSENT)
    if not seen.deliberate:
        return found
    open_wide = everywhere & ((counts == later.sum(-1)) | ~judged).all(1)
    return torch.where(open_wide, ABSENT, found)


def _future_hidden(seen: _View) -> Tensor:
    """Later keys that are hidden from every row that has some, where several rows have."""
    later = (seen.back < 0) & (seen.key <= seen.layout.newest[:, :, None])
    if seen.layout.padding is not None:
        later = later & ~seen.layout.padding[:, None]
    judged = seen.real & later.any(-1)
    places = torch.where(judged, seen.layout.own, -1).sort(1).values
    distinct = ((places[:, 1:] != places[:, :-1]) & (places[:, 1:] >= 0)).sum(1) + (places[:, 0] >= 0)
    blind = ((seen.sight.hidden | ~later).all(-1) | ~judged).all(1)
    found = torch.where(blind, later.sum(-1).masked_fill(~judged, 0).amax(1), 0)
    certain = (distinct >= _AGREEING_ROWS) & ~torch.full_like(blind, seen.deliberate)
    return torch.where(certain, found, ABSENT)


def _self_blind(seen: _View) -> Tensor:
    """Rows that cannot see their own key, though it is none that everybody is kept from, or that none of them can."""
    own = seen.layout.own[:, :, None]
    blind = seen.sight.hidden.gather(2, own)[..., 0]
    if seen.known:
        judged = seen.counted
    else:
        judged = seen.real
        together = (blind | ~judged).all(1, keepdim=True) & (judged.sum(1, keepdim=True) > 1)
        lively = seen.sight.visible.any(1).gather(1, seen.layout.own)
        blind = blind & (lively | together) if seen.layout.complete else blind & lively
    return torch.where(judged.any(1), (blind & judged).sum(1), ABSENT)
