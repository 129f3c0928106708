"""Calls of every legal form, and the comparison of an engine's statistics with their definition."""

from __future__ import annotations

from functools import partial

import torch
from hypothesis import strategies as st

from locant.probe.attention.calls import KernelCall
from locant.probe.attention.contract import STATISTICS, PassContext
from locant.probe.attention.reference import dense_scores, reference_statistics
from locant.probe.attention.rows import Rows

FORMS = ("none", "bool", "finfo", "inf", "per_head", "minus_ten_thousand")


@st.composite
def situations(draw: st.DrawFn) -> tuple[KernelCall, PassContext, int]:
    """A call with legal sizes, what the probe knows of the pass, and a window."""
    batch, groups, repeats = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.sampled_from((1, 2, 4)))
    queries, cached, size = (
        draw(st.integers(1, 24)),
        draw(st.sampled_from((0, 0, 1, 30))),
        draw(st.sampled_from((4, 5, 8, 24))),
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
    for name, values in zip(STATISTICS, found, strict=True):
        reference = wanted[name].permute(0, 2, 1)
        judged = sighted.permute(0, 2, 1)
        torch.testing.assert_close(
            values.double()[judged], reference[judged], rtol=1e-5, atol=1e-5, msg=partial("{}: {}".format, name)
        )
