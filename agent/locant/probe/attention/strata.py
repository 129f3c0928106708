"""Which query rows are looked at: one uniform row of every stratum, so that weighted sums are unbiased for all rows.

Strata are equally wide, but for the first one, which a quarter of them share and cut geometrically: mass on the first
token falls like one over the row number, and equal strata alone miss most of it. What that costs the other statistics,
and how often the interval of `weighted_mean` covers the truth: benchmarks/attention_coverage.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from locant.probe.attention.contract import PassContext
from locant.probe.attention.rows import Rows, uniform

_STRUCTURAL_STRATA = 4
_OPENINGS = 2


def sample_rows(context: PassContext, rows: int, device: torch.device) -> Rows:
    """About `rows` query rows of a pass, spread evenly over its sequences; weights add up to the sequence's real rows.

    With more sequences than rows, every k-th sequence in the order of their lengths is taken, from a random start.
    Rows of sequences without a real token weigh nothing. All rows are taken when there are no more than asked for.
    """
    chosen = _sequences(context, rows, device)
    count = chosen.shape[0] if chosen is not None else context.batch
    per_sequence = min(max(rows // count, 1), context.queries)
    real = _real(context, chosen, device)
    if per_sequence == context.queries:
        every = torch.arange(context.queries, device=device).expand(count, -1)
        return Rows(chosen, every, torch.ones_like(every).float() if real is None else real.float())
    bounds = _bounds(_total(real, context, device), per_sequence)
    width = bounds.diff().expand(count, -1)
    place = torch.addcmul(bounds[:, :-1], width, uniform(context.seed, (count, per_sequence), device))
    return Rows(chosen, _column(real, context.queries, place.long()), width.float())


def structural_rows(context: PassContext, window: int | None, device: torch.device) -> Rows:
    """Rows of every sequence that show what a mask lets through: the ends, one past the window, and a few at random."""
    everyone = _real(context, None, device)
    if context.queries <= _STRUCTURAL_STRATA:
        every = torch.arange(context.queries, device=device).expand(context.batch, -1)
        return Rows(None, every, torch.ones_like(every).float() if everyone is None else everyone.float())
    total = _total(everyone, context, device)
    draw = uniform(context.seed + 1, (context.batch, _STRUCTURAL_STRATA), device)
    inner = draw.add_(torch.arange(_STRUCTURAL_STRATA, device=device)).mul_(total).div_(_STRUCTURAL_STRATA)
    ends = [torch.zeros_like(total), total - 2, total - 1]
    if window is not None:
        ends.append(torch.full_like(total, window))
    rank = torch.cat([inner.long(), *(end.expand(context.batch, 1) for end in ends)], 1)
    queries = _column(everyone, context.queries, rank)
    if context.key_request is not None:
        queries = torch.cat([queries, _openings(context, device)], 1)
    return Rows(None, queries, (total > 0).float().expand(queries.shape))


def _openings(context: PassContext, device: torch.device) -> Tensor:
    """The first rows of some requests of a packed row, where a boundary that comes too late shows, int64 [B, 2]."""
    assert context.key_request is not None
    owner = context.key_request.to(device).expand(context.batch, -1)[:, : context.queries]
    opens = torch.nn.functional.pad(owner[:, 1:] != owner[:, :-1], (1, 0))
    draw = uniform(context.seed + 3, (context.batch, _OPENINGS), device)
    return _column(opens, context.queries, (draw * opens.sum(1, keepdim=True)).long())


def weighted_mean(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The all-row mean and its standard error, from values [..., N, R] and weights [N, R] of `sample_rows`.

    The error collapses neighbouring strata into pairs (Wolter, Introduction to Variance Estimation, ch. 2): half the
    squared difference from each neighbour is what a stratum is thought to vary by. `reach_95` makes it an interval.
    """
    if weights.shape[1] == 1:  # a row from each sequence: they are each other's neighbours
        values, weights = values.transpose(-1, -2), weights.t()
    total = weights.sum()
    mean = (values * weights).sum((-2, -1)) / total
    apart = values[..., 1:] - values[..., :-1]
    variance = (apart.square() * _pair_weights(weights)).sum((-2, -1)) / 2
    return mean, variance.sqrt() / total


def reach_95(weights: Tensor) -> float:
    """Standard errors on each side of a 95 % interval: Student's quantile for the pairs that the error rests on.

    By their weights (Satterthwaite 1946), a third off because neighbouring pairs share a row; the quantile is its
    expansion around the normal one, never beyond that of 2 degrees of freedom. Reads the device.
    """
    pairs = _pair_weights(weights if weights.shape[1] > 1 else weights.t()).double()
    freedom = max(2 / 3 * float(pairs.sum().square() / pairs.square().sum().clamp_min(1e-300)), 2.0)
    normal = 1.959964
    return (
        normal
        + (normal**3 + normal) / (4 * freedom)
        + (5 * normal**5 + 16 * normal**3 + 3 * normal) / (96 * freedom**2)
    )


def _pair_weights(weights: Tensor) -> Tensor:
    """What each pair of neighbours counts for in the variance of the weighted sum, [N, R - 1]."""
    pairs_of = torch.full_like(weights, 2.0)
    pairs_of[:, 0] = pairs_of[:, -1] = 1.0
    share = weights.square() / pairs_of
    return share[:, 1:] + share[:, :-1]


def _sequences(context: PassContext, rows: int, device: torch.device) -> Tensor | None:
    if context.batch <= rows:
        return None
    start = uniform(context.seed + 2, (1, 1), device)[0]
    picks = ((torch.arange(rows, device=device) + start) * (context.batch / rows)).floor().long()
    picks = picks.clamp_max(context.batch - 1)
    if context.query_real is None:
        return picks
    return context.query_real.to(device).expand(context.batch, -1).sum(1).argsort()[picks]


def _real(context: PassContext, chosen: Tensor | None, device: torch.device) -> Tensor | None:
    """Which queries are no padding, bool [N, Q]; None: all of them."""
    if context.query_real is None:
        return None
    real = context.query_real.to(device).expand(context.batch, -1)
    return real if chosen is None else real[chosen]


def _total(real: Tensor | None, context: PassContext, device: torch.device) -> Tensor:
    """How many queries are no padding, int64 [N | 1, 1]."""
    if real is not None:
        return real.sum(1, keepdim=True)
    return torch.full((1, 1), context.queries, device=device)


def _bounds(total: Tensor, count: int) -> Tensor:
    """Bounds of `count` strata of [0, total), float64 [N | 1, count + 1], ascending from 0 to `total`."""
    geometric = count // 4
    equal, among = count - geometric, total.double()
    ends = among * torch.arange(equal + 1, device=total.device) / equal
    power = torch.arange(1, geometric + 1, device=total.device) / (geometric + 1)
    return torch.cat([ends[:, :1], (among / equal + 1) ** power - 1, ends[:, 1:]], 1)


def _column(real: Tensor | None, queries: int, rank: Tensor) -> Tensor:
    """The column of the rank-th real row, or of the nearest there is, int64 [N, R]; the last without any."""
    if real is None:
        return rank.clamp_(0, queries - 1)
    counted = real.cumsum(1)
    rank = (rank.clamp_min_(0) + 1).minimum(counted[:, -1:].clamp_min(1))
    return torch.searchsorted(counted, rank).clamp_max_(queries - 1)
