"""A capture armed around forwards, and its statistics beside attention matrices in float64."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from locant.probe.attention.capture import AttentionCapture
from locant.probe.attention.contract import STATISTICS, LayerStatistics, PassContext
from locant.probe.attention.engine import RECENT_KEYS
from locant.probe.profile import describe

EVERY_ROW = 10**6


@contextmanager
def armed(model: nn.Module, context: PassContext, rows: int = EVERY_ROW) -> Iterator[list[LayerStatistics]]:
    """What an armed thread finds inside the block, in all layers; the profiler's errors fail the test."""
    errors: list[Exception] = []
    found: list[LayerStatistics] = []
    capture = AttentionCapture(model, describe(model), rows, tuple(range(32)), on_error=errors.append)
    capture.arm(context, found.append)
    try:
        yield found
    finally:
        capture.close()
    assert errors == []


def plain_context(batch: int, queries: int, *, causal: bool = True, cached: int | None = 0) -> PassContext:
    """A pass of which nothing is known but its shape."""
    return PassContext(1, batch, queries, None, None, None, causal, 5, cached)


def assert_weights(found: LayerStatistics, weights: Tensor, own: Tensor) -> None:
    """Sums of every kind over rows of weights, float64 [H, rows, K]; `own` int64 [rows] is each row's own column."""
    back = own[:, None] - torch.arange(weights.shape[2])
    wanted = {
        "entropy": -(weights * torch.where(weights > 0, weights.log(), 0.0)).sum((1, 2)),
        "distance": (weights * back.abs()).sum((1, 2)),
        "future_mass": (weights * (back < 0)).sum((1, 2)),
        "self_mass": (weights * (back == 0)).sum((1, 2)),
        "recency_mass": (weights * ((back >= 0) & (back < RECENT_KEYS))).sum((1, 2)),
        "largest_weight": weights.amax(2).sum(1),
    }
    assert int(found.rows) == len(own)
    for name, values in wanted.items():
        got = found.sums[STATISTICS.index(name)].double()
        torch.testing.assert_close(got, values, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
