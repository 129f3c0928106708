"""What a look launches neither reads the device nor copies ordinary host memory: every operation is looked at."""

from __future__ import annotations

import sys
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings

from locant.probe.alibi import measure
from locant.probe.attention.calls import Attention, KernelCall, ScoredCall
from locant.probe.attention.contract import LayerStatistics, PassContext
from locant.probe.attention.layout import lay_out
from locant.probe.attention.profiler import PassProfiler, Plan
from locant.probe.attention.reference import dense_scores
from locant.probe.attention.strata import sample_rows
from locant.probe.call import Call
from locant.probe.context import pass_context
from locant.probe.masks import split_mask
from locant.probe.passes import Pass
from locant.probe.places import places
from locant.probe.rotary import Waves, compare, parameters_hash
from locant.probe.row_inputs import RowInputs, RowRules
from locant.probe.rows import reduce_rows
from locant.probe.transfer import attention_tensors, pack
from probe.attention.situations import situations
from support.no_waiting import NoWaiting
from support.sidecar_traffic import PROFILE


def tensors_of(*values: Any) -> list[torch.Tensor]:
    """Tensors in the fields of dataclasses."""
    inner = [getattr(value, field.name) for value in values if is_dataclass(value) for field in fields(value)]
    return [one for one in inner if isinstance(one, torch.Tensor)]


def test_the_mode_sees_what_it_is_for() -> None:
    values, mask = torch.arange(6.0), torch.ones(6, dtype=torch.bool)
    for waits in (
        lambda: values[[1, 2]],
        lambda: values[mask],
        lambda: float(values.sum()),
        lambda: 1 if values.sum() > 0 else 0,
        lambda: values + torch.tensor([1.0]),
        lambda: mask.nonzero(),
        lambda: values.masked_select(mask),
    ):
        with pytest.raises(AssertionError), NoWaiting([values, mask]):
            waits()
    with NoWaiting([values, mask]):
        values[2:].mul(3).masked_fill(mask[2:], 0.0).index_select(0, torch.arange(2))


@settings(max_examples=40)
@given(situations())
def test_a_look_at_a_layer_waits_for_nothing(situation: tuple[KernelCall, PassContext, int]) -> None:
    call, context, window = situation
    scored = ScoredCall(dense_scores(call).float(), call.sinks)
    profile = replace(PROFILE, layers=1, window=window)
    calls: tuple[Attention, ...] = (call, scored)
    for one in calls:
        found: list[LayerStatistics] = []
        with torch.no_grad(), NoWaiting(tensors_of(one, context)):
            profiler = PassProfiler(context, Plan(6, frozenset({0}), profile), found.append)
            profiler.look(0, one, None, (), None)
            pack(attention_tensors(found))
        assert found[0].sums.shape[1] == call.heads


@pytest.mark.parametrize("queries", [20, 50])
def test_a_look_at_a_whole_pass_waits_for_nothing(queries: int) -> None:
    query, key = torch.randn(2, 4, queries, 8), torch.randn(2, 2, queries, 8)
    padding = torch.zeros(2, queries, dtype=torch.bool)
    call = KernelCall(query, key, 0.3, mask=(~padding)[:, None, None], diagonal=0)
    context = PassContext(3, 2, queries, padding, None, ~padding, True, 3, 0)
    found: list[LayerStatistics] = []
    with torch.no_grad(), NoWaiting(tensors_of(call, context)):
        plan = Plan(64, frozenset({0, 1, 2}), replace(PROFILE, layers=3), maps=3)
        profiler = PassProfiler(context, plan, found.append)
        for layer in range(3):
            profiler.look(layer, call, None, (), None)
        pack(attention_tensors(found))
    assert [one.heat is not None for one in found] == [True] * 3
    assert len({one.heat_head for one in found}) == 3
    assert {one.mask for one in found} == {"causal+bool"}


@settings(max_examples=20)
@given(situations())
def test_what_the_triton_kernels_are_handed_waits_for_nothing(situation: tuple[KernelCall, PassContext, int]) -> None:
    triton_engine = pytest.importorskip("locant.probe.attention.triton_engine", reason="NOT PROVEN HERE: no Triton")
    call, context, window = situation
    with torch.no_grad(), NoWaiting(tensors_of(call, context)):
        rows = sample_rows(context, 6, call.device)
        triton_engine.prepare(call, rows, lay_out(context, call.keys, rows), window)


def inputs(queries: int, **more: Any) -> RowInputs:
    """Three rows with a mask that covers four cached tokens."""
    ids = torch.randint(3, 20, (3, queries))
    mask = torch.ones(3, 4 + queries, dtype=torch.int64)
    positions = torch.arange(queries).expand(3, -1) + 4
    given_inputs = RowInputs(3, queries, ids.device, ids=ids, mask=mask, positions=positions, cached=4)
    return replace(given_inputs, **more)


@pytest.mark.parametrize("rules", [RowRules(), RowRules(pad_id=0, separator_id=2, token_types=2, salt=5)])
@pytest.mark.parametrize(
    "given_inputs",
    [
        inputs(9),
        inputs(9, mask=None, cached=0),
        inputs(9, cached=torch.tensor(4)),
        inputs(9, positions=torch.arange(9).expand(4, 3, -1), token_types=torch.zeros(3, 9, dtype=torch.int64)),
        inputs(9, starts=torch.zeros(3, 9, dtype=torch.bool)),
        inputs(1),
        inputs(1, cached=torch.tensor(4)),
    ],
)
def test_the_reduction_of_rows_waits_for_nothing(rules: RowRules, given_inputs: RowInputs) -> None:
    with NoWaiting(tensors_of(given_inputs)):
        reduced = {"rows": reduce_rows(given_inputs, rules)}
        stands = places(given_inputs, rules)
        whole = places(given_inputs, rules, whole=True)
        assert stands is not None
        assert whole is not None
        split = split_mask(given_inputs)
        if split is not None:
            reduced |= {"kept": split[0], "before": split[1]}
        pack({**reduced, "places": stands, "whole": whole})


def test_rotary_and_alibi_wait_for_nothing() -> None:
    angle = torch.arange(12.0)[:, None] * torch.tensor([1.0, 0.1])
    cos, sin = angle.repeat(1, 2).cos(), angle.repeat(1, 2).sin()
    found, frequencies = Waves(cos, sin, torch.arange(12)[None], 12), torch.tensor([1.0, 0.1], dtype=torch.float64)
    rows, slopes = torch.randn(2, 4, 20), torch.rand(4, dtype=torch.float64)
    kept = torch.ones(2, 20, dtype=torch.bool)
    with NoWaiting([*tensors_of(found), frequencies, rows, slopes, kept]):
        compare(found, lambda length: (frequencies, 1.0))
        parameters_hash([frequencies, rows])
        measure(rows, slopes, 0, kept)


def test_the_context_of_a_pass_waits_for_nothing() -> None:
    ids, mask, positions = torch.randint(0, 9, (2, 6)), torch.ones(2, 6), torch.arange(6).expand(2, -1).clone()
    call = Call(2, 6, ids.device, ids=ids, mask=mask, mask_rank=2, positions=positions)
    with NoWaiting([ids, mask, positions]):
        pass_context(_pass(call), RowRules(pad_id=0), causal=True)


def _pass(call: Call) -> Pass:
    """A prefill that nobody declared anything for."""
    return Pass(1, torch.nn.Identity(), sys._getframe(), call, 0, 0, 0, "prefill", ("prefill",), None, ())


def test_layers_on_another_device_are_looked_at_there_with_the_same_pass() -> None:
    pads = torch.zeros(2, 12, dtype=torch.bool)
    context = PassContext(1, 2, 12, pads, None, ~pads, True, 1, 0)
    found: list[LayerStatistics] = []
    profiler = PassProfiler(context, Plan(6, frozenset({0, 1, 2}), replace(PROFILE, layers=3)), found.append)
    for layer, device in enumerate(("cpu", "meta", "cpu")):
        query = torch.randn(2, 4, 12, 8, device=device)
        profiler.look(layer, KernelCall(query, query, 0.3, diagonal=0), None, (), None)
    assert [one.layer for one in found] == [0, 1, 2]
    assert [one.sums.device.type for one in found] == ["cpu", "meta", "cpu"]
