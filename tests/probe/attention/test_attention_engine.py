"""The engine equals the definition, whatever the shapes, masks, types, biases and caches."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.probe.attention.calls import KernelCall, ScoredCall
from locant.probe.attention.contract import PassContext
from locant.probe.attention.engine import ROW_STATISTICS, heat_map, row_statistics
from locant.probe.attention.layout import lay_out
from locant.probe.attention.reference import dense_scores, dense_weights, reference_statistics
from locant.probe.attention.rows import Rows

FORMS = ("none", "bool", "finfo", "inf", "per_head", "minus_ten_thousand")


@st.composite
def situations(draw: st.DrawFn) -> tuple[KernelCall, PassContext, int]:
    """A call with legal sizes, what the probe knows of the pass, and a window."""
    batch, groups, repeats = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 4)))
    queries, cached, size = (
        draw(st.integers(1, 24)),
        draw(st.sampled_from((0, 0, 1, 30))),
        draw(st.sampled_from((4, 8))),
    )
    keys, heads = queries + cached, groups * repeats
    seeded = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    kind = draw(st.sampled_from((torch.float32, torch.bfloat16, torch.float16)))

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=seeded)

    lengths = torch.randint(1, keys + 1, (batch,), generator=seeded)
    pads = torch.arange(keys) < (keys - lengths)[:, None]
    causal = torch.arange(keys) <= torch.arange(queries)[:, None] + cached
    mask = _mask(draw(st.sampled_from(FORMS)), (causal & ~pads[:, None])[:, None], heads, kind)
    bias = normal(1, heads, queries, keys) if draw(st.booleans()) else None
    call = KernelCall(
        query=normal(batch, heads, queries, size).mul(2).to(kind),
        key=normal(batch, groups, keys, size).mul(2).to(kind),
        scale=size**-0.5,
        mask=mask,
        bias=bias,
        diagonal=cached if mask is None and draw(st.booleans()) else None,
        window=draw(st.sampled_from((None, 1, 5))),
        softcap=draw(st.sampled_from((None, 3.0))),
        sinks=normal(heads) if draw(st.booleans()) else None,
    )
    request = (torch.arange(keys) >= draw(st.integers(0, keys))).long().expand(batch, -1)
    context = PassContext(
        pass_number=1,
        batch=batch,
        queries=queries,
        key_padding=pads if draw(st.booleans()) else None,
        key_request=request if draw(st.booleans()) else None,
        query_real=None,
        causal=True,
        seed=1,
        cached=cached,
    )
    return call, context, draw(st.integers(1, keys))


def _mask(form: str, keep: torch.Tensor, heads: int, kind: torch.dtype) -> torch.Tensor | None:
    if form == "none":
        return None
    if form == "bool":
        return keep
    if form == "per_head":
        return keep.expand(-1, heads, -1, -1)
    lowest = {"finfo": torch.finfo(kind).min, "inf": -torch.inf, "minus_ten_thousand": -1e4}[form]
    return torch.zeros(keep.shape, dtype=kind).masked_fill(~keep, lowest)


def every_row(call: KernelCall) -> Rows:
    """All rows, each once."""
    queries = torch.arange(call.query.shape[2]).expand(call.batch, -1)
    return Rows(None, queries, torch.ones_like(queries, dtype=torch.float32))


def compare(found: torch.Tensor, call: KernelCall, context: PassContext, window: int | None) -> None:
    """Every statistic of every row and head against the definition."""
    assert isinstance(context.cached, int)
    wanted = reference_statistics(call, context.cached, context.key_padding, context.key_request, window)
    sighted = (dense_scores(call) > -1e3).any(-1)
    for name, values in zip(ROW_STATISTICS, found, strict=True):
        reference = wanted[name].permute(0, 2, 1)
        judged = sighted.permute(0, 2, 1)
        torch.testing.assert_close(
            values.double()[judged], reference[judged], rtol=1e-5, atol=1e-5, msg=partial("{}: {}".format, name)
        )


@settings(max_examples=150, deadline=None)
@given(situations(), st.sampled_from((1, 7, 16, 64)))
def test_the_engine_equals_the_definition_for_any_chunk_of_keys(
    situation: tuple[KernelCall, PassContext, int], chunk: int
) -> None:
    call, context, window = situation
    rows = every_row(call)
    layout = lay_out(context, call.keys, rows)
    compare(row_statistics(call, rows, layout, window, keys_at_once=chunk), call, context, window)


@settings(max_examples=40, deadline=None)
@given(situations())
def test_scores_taken_before_a_softmax_give_the_same_statistics(situation: tuple[KernelCall, PassContext, int]) -> None:
    call, context, window = situation
    rows = every_row(call)
    scored = ScoredCall(dense_scores(call).float(), call.sinks)
    found = row_statistics(scored, rows, lay_out(context, call.keys, rows), window)
    compare(found, call, context, window)


@settings(max_examples=40, deadline=None)
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
    assert found[ROW_STATISTICS.index("cross_mass")].max() == 0
    leaking = row_statistics(replace(call, allows=None, diagonal=0), rows, lay_out(context, 12, rows))
    assert leaking[ROW_STATISTICS.index("cross_mass")].max() > 0.5


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
