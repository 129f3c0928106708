"""How many operations a look takes: on a GPU each is a launch, and small launches are what a look costs there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from locant.probe.attention.calls import Attention, KernelCall
from locant.probe.attention.contract import STATISTICS, PassContext
from locant.probe.attention.forms import Forms
from locant.probe.attention.layout import Layout
from locant.probe.attention.profiler import PassProfiler, Plan
from locant.probe.attention.rows import Rows
from locant.probe.profile import describe
from probe.tinies import tiny

PROFILE = replace(describe(tiny("llama")), layers=12)
_NO_LAUNCH = frozenset(
    ("view", "_unsafe_view", "expand", "slice", "select", "unsqueeze", "transpose", "t", "alias", "unbind", "detach",
     "empty", "as_strided")
)  # fmt: skip


class Operations(TorchDispatchMode):
    """Counts what would be launched on a device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.name().removeprefix("aten::").partition(".")[0] not in _NO_LAUNCH
        return func(*args, **(kwargs or {}))


def no_engine(call: Attention, rows: Rows, layout: Layout, window: int | None = None) -> Tensor:
    """What two kernels would fill."""
    return torch.empty(len(STATISTICS), *rows.queries.shape, call.heads)


def operations(*, padded: bool, layers: int = 3) -> list[int]:
    """Of each layer of one pass, after another pass of the same sizes."""
    batch, queries = 2, 64
    real = torch.ones(batch, queries, dtype=torch.bool)
    real[0, :9] = False
    mask = torch.ones(queries, queries).tril().bool() & real[:, None, None] if padded else None
    told = {"key_padding": ~real, "query_real": real} if padded else {"key_padding": None, "query_real": None}
    heads = torch.randn(batch, 4, queries, 8)
    call = KernelCall(heads, heads, 0.3, mask=mask, diagonal=None if padded else 0)
    forms = Forms()
    counts: list[int] = []
    for number in (1, 2):
        context = PassContext(number, batch, queries, key_request=None, causal=True, seed=number, cached=0, **told)
        plan = Plan(32, frozenset(range(layers)), PROFILE)
        profiler = PassProfiler(context, plan, lambda _: None, no_engine, forms)
        counts = []
        for layer in range(layers):
            with Operations() as counted:
                profiler.look(layer, call, None, (id(mask),), mask)
            counts.append(counted.count)
    return counts


@pytest.mark.parametrize(("padded", "further", "once"), [(False, 3, 100), (True, 6, 220)])
def test_a_further_layer_takes_a_handful_of_operations_beside_the_kernels(
    padded: bool, further: int, once: int
) -> None:
    counts = operations(padded=padded)
    assert sorted(counts)[0] <= further
    assert sum(counts) <= once
