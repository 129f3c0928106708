"""How far two histograms of lengths lie apart, in octaves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import log2


def wasserstein_octaves(counts: Sequence[float], reference: Sequence[float], edges: Sequence[float]) -> float:
    """Wasserstein-1 distance between two histograms on `edges`, measured in log2: 1.0 means "twice as long".

    `counts` and `reference` are per bucket and one longer than `edges` (the last one is above the last edge and weighs
    as if it sat there). The distance is the area between the two cumulative distributions over log2 of the edges:
    sum of log2(e[i+1] / e[i]) * |F(e[i]) - G(e[i])|. Up to the width of a bucket it equals the distance of the raw
    samples; it needs no smoothing of empty buckets.

    Raises ValueError when the shapes disagree or a side is empty: an empty side has no distribution.
    """
    if not len(counts) == len(reference) == len(edges) + 1:
        raise ValueError(f"{len(counts)} and {len(reference)} buckets do not fit {len(edges)} edges")
    total, reference_total = sum(counts), sum(reference)
    if total <= 0 or reference_total <= 0:
        raise ValueError("a histogram without observations has no distance to another")
    shares = accumulate(count / total - other / reference_total for count, other in zip(counts, reference, strict=True))
    return sum(log2(upper / lower) * abs(gap) for (lower, upper), gap in zip(pairwise(edges), shares, strict=False))


def merge_counts(histograms: Sequence[Sequence[int]], buckets: int) -> list[int]:
    """The histogram of all observations: counts added bucket by bucket; zeros when there is none to merge."""
    merged = [0] * buckets
    for histogram in histograms:
        merged = [a + b for a, b in zip(merged, histogram, strict=True)]
    return merged
