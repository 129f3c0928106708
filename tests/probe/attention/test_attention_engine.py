"""The engine equals the definition, whatever the shapes, masks, types, biases and caches."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.probe.attention.calls import KernelCall, ScoredCall
from locant.probe.attention.contract import STATISTICS, PassContext
from locant.probe.attention.engine import heat_map, row_statistics
from locant.probe.attention.layout import lay_out
from locant.probe.attention.reference import dense_scores, dense_weights
from locant.probe.attention.rows import Rows
from probe.attention.situations import compare, every_row, situations


@settings(max_examples=150)
@given(situations(), st.sampled_from((1, 7, 16, 64)))
def test_the_engine_equals_the_definition_for_any_chunk_of_keys(
    situation: tuple[KernelCall, PassContext, int], chunk: int
) -> None:
    call, context, window = situation
    rows = every_row(call)
    layout = lay_out(context, call.keys, rows)
    compare(row_statistics(call, rows, layout, window, keys_at_once=chunk), call, context, window)


@settings(max_examples=40)
@given(situations())
def test_scores_taken_before_a_softmax_give_the_same_statistics(situation: tuple[KernelCall, PassContext, int]) -> None:
    call, context, window = situation
    rows = every_row(call)
    scored = ScoredCall(dense_scores(call).float(), call.sinks)
    found = row_statistics(scored, rows, lay_out(context, call.keys, rows), window)
    compare(found, call, context, window)


@settings(max_examples=40)
@given(situations(), st.integers(1, 8))
def test_a_heat_map_is_the_matrix_of_one_head_in_coarse_squares(
    situation: tuple[KernelCall, PassContext, int], bins: int
) -> None:
    call, context, _ = situation
    rows, head = every_row(call), call.heads - 1
    heat, per_bin = heat_map(call, rows, lay_out(context, call.keys, rows), head, bins, call.keys)
    weights, total = dense_weights(call)
    if (total < -1e3).any():
        return
    key = torch.arange(call.keys) * bins // call.keys
    query = key[call.keys - call.query.shape[2] :]
    assert per_bin.tolist() == [call.batch * int((query == b).sum()) for b in range(bins)]
    for a in range(bins):
        for b in range(bins):
            inside = weights[:, head][:, query == a][..., key == b].sum()
            torch.testing.assert_close(heat[a, b].double(), inside, rtol=1e-5, atol=1e-5)


def test_a_mask_function_counts_like_the_mask_it_stands_for() -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 12, 8), torch.randn(2, 2, 12, 8)
    owner = (torch.arange(12) // 5).expand(2, -1)

    def allows(b: torch.Tensor, h: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return (owner[b, q] == owner[b, k]) & (k <= q)

    context = PassContext(1, 2, 12, None, owner, None, True, 1, 0)
    call = KernelCall(query, key, 0.3, allows=allows)
    rows = every_row(call)
    found = row_statistics(call, rows, lay_out(context, 12, rows))
    compare(found, call, context, None)
    assert found[STATISTICS.index("cross_mass")].max() == 0
    leaking = row_statistics(replace(call, allows=None, diagonal=0), rows, lay_out(context, 12, rows))
    assert leaking[STATISTICS.index("cross_mass")].max() > 0.5


@pytest.mark.parametrize("batch", [1, 3])
def test_memory_is_that_of_the_rows_and_not_of_the_matrix(batch: int) -> None:
    size = 4096
    query, key = torch.randn(batch, 4, size, 16), torch.randn(batch, 4, size, 16)
    rows = Rows(None, torch.tensor([[5, 900, 4000]]).expand(batch, -1), torch.ones(batch, 3))
    context = PassContext(1, batch, size, None, None, None, True, 1, 0)
    call = KernelCall(query, key, 0.25, diagonal=0)
    with torch.profiler.profile(profile_memory=True) as record:
        row_statistics(call, rows, lay_out(context, size, rows), keys_at_once=256)
    largest = max(event.cpu_memory_usage for event in record.events())
    assert largest < 256 * 3 * batch * 4 * 4 * 40
