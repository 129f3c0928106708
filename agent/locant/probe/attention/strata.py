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

NOT_RELIABLE = frozenset({"first_token_mass"})
"""Statistics whose 95 % interval from one pass covers the truth too rarely in single heads: few rows carry them."""

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
    real = _real(context, chosen, count, device)
    if per_sequence == context.queries:
        every = torch.arange(context.queries, device=device).expand(count, -1)
        return Rows(chosen, every, real.float())
    total = real.sum(1, keepdim=True)
    ends = _stratum_ends(total.double(), per_sequence)
    starts = torch.nn.functional.pad(ends[:, :-1], (1, 0))
    width = ends - starts
    place = starts + width * uniform(context.seed, (count, per_sequence), device)
    rank = place.floor().long().minimum((total - 1).clamp_min(0))
    return Rows(chosen, _column_of_rank(real, rank), width.float())


def structural_rows(context: PassContext, window: int | None, device: torch.device) -> Rows:
    """Rows of every sequence that show what a mask lets through: the ends, one past the window, and a few at random."""
    everyone = _real(context, None, context.batch, device)
    if context.queries <= _STRUCTURAL_STRATA:
        every = torch.arange(context.queries, device=device).expand(context.batch, -1)
        return Rows(None, every, everyone.float())
    total = everyone.sum(1, keepdim=True)
    last = total - 1
    step = torch.arange(_STRUCTURAL_STRATA, device=device)
    draw = uniform(context.seed + 1, (context.batch, _STRUCTURAL_STRATA), device)
    inner = ((step + draw) * total / _STRUCTURAL_STRATA).floor().long()
    picks = [inner, torch.zeros_like(last), last - 1, last]
    if window is not None:
        picks.append(torch.full_like(last, window))
    rank = torch.cat(picks, 1).clamp_min(0).minimum(last.clamp_min(0))
    queries = _column_of_rank(everyone, rank)
    if context.key_request is not None:
        queries = torch.cat([queries, _openings(context, device)], 1)
    return Rows(None, queries, (total > 0).float().expand(-1, queries.shape[1]))


def _openings(context: PassContext, device: torch.device) -> Tensor:
    """The first rows of some requests of a packed row, where a boundary that comes too late shows, int64 [B, 2]."""
    assert context.key_request is not None
    owner = context.key_request.to(device).expand(context.batch, -1)[:, : context.queries]
    opens = torch.nn.functional.pad(owner[:, 1:] != owner[:, :-1], (1, 0))
    draw = uniform(context.seed + 3, (context.batch, _OPENINGS), device)
    return _column_of_rank(opens, (draw * opens.sum(1, keepdim=True)).floor().long())


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


def _real(context: PassContext, chosen: Tensor | None, count: int, device: torch.device) -> Tensor:
    if context.query_real is None:
        return torch.ones(count, context.queries, dtype=torch.bool, device=device)
    real = context.query_real.to(device).expand(context.batch, -1)
    return real if chosen is None else real[chosen]


def _stratum_ends(total: Tensor, count: int) -> Tensor:
    """Upper ends of `count` strata of [0, total), float64 [N, count], ascending; the last is `total`."""
    geometric = count // 4
    equal = count - geometric
    ends = total * torch.arange(1, equal + 1, device=total.device) / equal
    power = torch.arange(1, geometric + 1, device=total.device) / (geometric + 1)
    return torch.cat([(total / equal + 1) ** power - 1, ends], 1)


def _column_of_rank(real: Tensor, rank: Tensor) -> Tensor:
    """The column of the rank-th real row, int64 [N, R]; the last column where a sequence has none."""
    found = torch.searchsorted(real.cumsum(1), rank + 1)
    return found.clamp_max(real.shape[1] - 1)
