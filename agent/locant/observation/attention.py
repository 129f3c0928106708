"""Where sampled query rows of one layer look."""

from __future__ import annotations

from dataclasses import dataclass

NOT_RELIABLE = frozenset({"first_token_mass", "self_mass"})
"""Statistics that few rows may carry: in some batches the 95 % interval from one pass covers the truth of fewer than 90
of 100 heads (benchmarks/attention_coverage.py). Sums over many passes are unbiased all the same."""


@dataclass(frozen=True, slots=True)
class AttentionFacts:
    """Statistics of sampled query rows of one layer in one pass: sums over rows, per head, so that they merge.

    Tuples have one entry per head. `heat` is row-major [bins, bins] mass summed over rows of one head (`heat_head`).
    Only of passes that are looked at whole: `visibility`, the largest over sequences of what the layer's mask lets
    through, in the order of `RowField` from WINDOW_EXCESS on, `ABSENT` where nothing is certain; `window`, 0 for none;
    `mask`, how the call limits what is seen: causal (the kernel's own), window, bool, added, bias, block, scores, none.
    """

    model_id: int
    time: float
    pass_number: int
    layer: int
    rows: int
    padded_rows: int  # rows whose sequence has padding keys: what padding mass is a statement about
    padding_mass: tuple[float, ...]
    padding_mass_largest: float  # the largest single-row, mean-over-heads padding mass
    entropy: tuple[float, ...]
    distance: tuple[float, ...]
    first_token_mass: tuple[float, ...]
    future_mass: tuple[float, ...]
    self_mass: tuple[float, ...]
    recency_mass: tuple[float, ...]
    largest_weight: tuple[float, ...]
    cross_mass: tuple[float, ...] = ()
    window_mass: tuple[float, ...] = ()
    relative_entropy: tuple[float, ...] = ()
    log_distance: tuple[float, ...] = ()
    log_sum_exp: tuple[float, ...] = ()
    heads: tuple[int, ...] = ()  # which heads the tuples are of; empty: all, in order
    heat_head: int = -1
    heat_bins: int = 0
    heat: tuple[float, ...] = ()
    heat_rows: tuple[int, ...] = ()
    visibility: tuple[int, ...] = ()
    window: int = 0
    mask: str = ""
