"""Relative distance buckets (Raffel et al. 2019, section 2.1): the positions they tell, and beside their rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from locant.probe import families as fam
from locant.probe.geometry import read

_ROWS = 16
_UNSURE = 1e-4
"""So near to the border of two logarithmic buckets rounding decides, in float32 otherwise than in float64."""


@dataclass(frozen=True, slots=True)
class BucketRule:
    """What a family's buckets must be: how many, where the last one begins, and whether later keys have their own."""

    count: int
    last_distance: int
    two_way: bool


def bucket_rule(config: Any, count: int, *, two_way: bool) -> BucketRule | None:
    """The rule of a configuration in a family that is known to follow it; None for any other."""
    last = read(config, "relative_attention_max_distance")
    if read(config, "model_type") not in fam.BUCKETED or not isinstance(last, int) or count < 4:
        return None
    return BucketRule(count, last, two_way)


def positions_from_buckets(buckets: Any, queries: int) -> Tensor | None:
    """Positions of the queries, int64 [1, Q], from relative distance buckets [Q, K]: the first key at distance 0.

    Bucket 0 is distance zero; decoders give it to later keys too, so the first such key is the query's own.
    """
    table = _square(buckets, queries)
    return (table == 0).to(torch.uint8).argmax(-1)[None] if table is not None else None


def wrong_buckets(buckets: Any, queries: int, rule: BucketRule) -> Tensor | None:
    """int64 0-d on the device: pairs of sampled queries and keys whose bucket is not the rule's for their distance."""
    table = _square(buckets, queries)
    if table is None:
        return None
    step = -(-queries // _ROWS)
    rows = table[(queries - 1) % step :: step].long()
    own = (rows == 0).to(torch.uint8).argmax(-1, keepdim=True)
    distance = torch.arange(rows.shape[1], device=rows.device) - own
    expected, unsure = _expected(distance, rule)
    return ((rows != expected) & ~unsure).sum()


def _expected(distance: Tensor, rule: BucketRule) -> tuple[Tensor, Tensor]:
    """The bucket of each signed distance (key minus query), and where rounding alone may decide otherwise."""
    count = rule.count // 2 if rule.two_way else rule.count
    later = (distance > 0).long() * count if rule.two_way else torch.zeros_like(distance)
    size = distance.abs() if rule.two_way else (-distance).clamp_min(0)
    exact = count // 2
    scale = (count - exact) / math.log(rule.last_distance / exact)
    spread = (size.double().clamp_min(1) / exact).log() * scale
    large = (exact + spread.floor().long()).clamp_max(count - 1)
    unsure = (size >= exact) & ((spread - spread.round()).abs() < _UNSURE)
    return later + torch.where(size < exact, size, large), unsure


def _square(buckets: Any, queries: int) -> Tensor | None:
    """Buckets as [Q, K]; None for any other shape."""
    if not isinstance(buckets, Tensor) or buckets.is_floating_point() or buckets.shape[-2:-1] != (queries,):
        return None
    return buckets.detach().reshape(queries, -1) if buckets.numel() == queries * buckets.shape[-1] else None
