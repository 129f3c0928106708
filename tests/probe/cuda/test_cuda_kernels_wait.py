"""A look at flash-attn's and FlexAttention's calls reads nothing back and copies nothing from the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask

from locant.probe.attention.contract import LayerStatistics, PassContext
from locant.probe.attention.functions import function_call
from locant.probe.attention.profiler import PassProfiler, Plan
from locant.probe.transfer import attention_tensors, pack
from support.no_waiting import NoWaiting
from support.sidecar_traffic import PROFILE

B, S = 3, 12
QUERY, KEY = torch.randn(B, S, 4, 8), torch.randn(B, S, 2, 8)
CACHE, LENGTHS = torch.randn(B, 40, 2, 8), torch.tensor([9, 0, 27], dtype=torch.int32)
REAL = torch.arange(S) >= torch.tensor([0, 4, 9])[:, None]
BOUNDS = torch.tensor([0, 12, 20, 23], dtype=torch.int32)
WHOLE = PassContext(1, B, S, None, None, None, True, 1, 0)
ROW = PassContext(1, 1, 23, None, torch.arange(23)[None] // 9, None, True, 1, 0)
PADDED = PassContext(1, B, S, ~REAL, None, REAL, True, 1, 0)
SLOPES = torch.rand(4)


def alibi(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return score - SLOPES[h] * (q - k).abs()


def causal(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return q >= k


LONG = {"q": QUERY[REAL], "k": KEY[REAL], "cu_seqlens_q": BOUNDS, "cu_seqlens_k": BOUNDS, "causal": True}
STEP = {"q": QUERY, "k_cache": CACHE, "v_cache": CACHE, "k": KEY, "v": KEY, "causal": True}
MASK = create_block_mask(causal, B, None, S, S, device="cpu")
HEADS_FIRST = {"query": QUERY.transpose(1, 2), "key": KEY.transpose(1, 2), "value": KEY.transpose(1, 2)}
CASES: list[tuple[str, dict[str, Any], PassContext]] = [
    ("flash_attn_func", {"q": QUERY, "k": KEY, "causal": True, "window_size": (3, 0)}, WHOLE),
    ("flash_attn_func", {"q": QUERY, "k": KEY, "window_size": (3, -1)}, WHOLE),
    ("flash_attn_func", {"q": QUERY, "k": KEY, "causal": True, "alibi_slopes": SLOPES}, WHOLE),
    ("flash_attn_varlen_func", LONG, ROW),
    ("flash_attn_varlen_func", LONG, PADDED),
    ("flash_attn_varlen_func", {**LONG, "alibi_slopes": torch.rand(3, 4)}, ROW),
    ("flash_attn_with_kvcache", {**STEP, "cache_seqlens": 20}, WHOLE),
    ("flash_attn_with_kvcache", {**STEP, "cache_seqlens": LENGTHS, "cache_leftpad": LENGTHS // 3}, WHOLE),
    ("flex_attention", HEADS_FIRST, WHOLE),
    ("flex_attention", {**HEADS_FIRST, "block_mask": MASK}, WHOLE),
    ("flex_attention", {**HEADS_FIRST, "score_mod": alibi, "block_mask": MASK}, WHOLE),
]


@pytest.mark.parametrize(("name", "given", "context"), CASES)
def test_a_look_at_a_kernel_waits_for_nothing(name: str, given: dict[str, Any], context: PassContext) -> None:
    tensors = [one for one in given.values() if isinstance(one, Tensor)]
    known = [one for one in (context.key_padding, context.key_request, context.query_real) if one is not None]
    found: list[LayerStatistics] = []
    sink: Callable[[LayerStatistics], None] = found.append
    plan = Plan(6, frozenset({0}), replace(PROFILE, layers=1))
    with torch.no_grad(), NoWaiting([*tensors, *known, SLOPES, KEY, CACHE]):
        met = function_call(name, (), given, context, 0)
        assert met is not None
        PassProfiler(context, plan, sink).in_context(met.context).look(0, met.call, None, None, None)
        pack(attention_tensors(found))
    assert found[0].visibility.shape[0] == context.batch
