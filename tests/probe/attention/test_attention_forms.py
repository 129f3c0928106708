"""Calls in which sizes alone decide are judged once; what is remembered is what would be found again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from locant.observation import ABSENT
from locant.probe.attention import profiler
from locant.probe.attention.calls import KernelCall
from locant.probe.attention.contract import LayerStatistics, PassContext
from locant.probe.attention.forms import Forms, form_of
from locant.probe.attention.profiler import PassProfiler, Plan
from locant.probe.attention.visibility import Geometry
from locant.probe.profile import describe
from probe.attention.situations import situations
from probe.tinies import tiny

PROFILE = describe(tiny("llama"))
Situation = tuple[KernelCall, PassContext, int]


def visibility(call: KernelCall, context: PassContext, window: int, forms: Forms) -> torch.Tensor:
    """What one pass finds, with what earlier ones left in `forms`."""
    found: list[LayerStatistics] = []
    plan = Plan(4, frozenset(), replace(PROFILE, window=window))
    PassProfiler(context, plan, found.append, forms=forms).look(0, call, None, (id(call.mask),), call.mask)
    return found[0].visibility


@settings(max_examples=40)
@given(st.lists(situations(), min_size=2, max_size=5))
def test_a_remembered_judgement_is_the_one_that_a_fresh_pass_comes_to(traffic: list[Situation]) -> None:
    shared = Forms()
    for call, context, window in traffic * 2:
        assert torch.equal(visibility(call, context, window, shared), visibility(call, context, window, Forms()))


def plain(queries: int = 40, **of_call: object) -> tuple[KernelCall, PassContext]:
    """A causal prompt by itself."""
    heads = torch.zeros(1, 2, queries, 4)
    call = replace(KernelCall(heads, heads, 1.0, diagonal=0), **of_call)  # type: ignore[arg-type]
    return call, PassContext(1, 1, queries, None, None, None, causal=True, seed=1, cached=0)


def test_equal_prompts_are_judged_once_and_others_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    judge = profiler.judge

    def counting(call: KernelCall, *rest: object) -> torch.Tensor:
        judged.append(call.keys)
        return judge(call, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(profiler, "judge", counting)
    forms = Forms()
    for queries in (40, 40, 41, 40):
        visibility(*plain(queries), 16, forms)
    assert judged == [40, 41]
    open_wide, context = plain(diagonal=None)
    assert int(visibility(open_wide, context, 16, forms)[0, 2]) == 39
    assert judged == [40, 41, 40]


@pytest.mark.parametrize("said", ["key_padding", "key_request", "query_real"])
def test_a_pass_of_which_a_tensor_says_something_is_judged_each_time(said: str) -> None:
    call, context = plain()
    told = replace(context, **{said: torch.zeros(1, 40, dtype=torch.int64)})
    assert form_of(call, told, Geometry(None, True)) is None
    assert form_of(call, replace(context, cached=torch.zeros((), dtype=torch.int64)), Geometry(None, True)) is None


@pytest.mark.parametrize("table", [{"mask": torch.ones(1, 1, 40, 40).bool()}, {"allows": lambda b, h, q, k: k <= q}])
def test_a_call_with_a_mask_is_judged_each_time(table: dict[str, object]) -> None:
    call, context = plain(**table)
    assert form_of(call, context, Geometry(None, True)) is None


def test_what_is_remembered_is_bounded() -> None:
    forms = Forms()
    for form in range(1000):
        forms.find(form, lambda: torch.full((1, 7), ABSENT))
    assert len(forms._found) <= 64
